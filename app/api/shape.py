"""What all shapes that go over the wire have in common."""

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """Built when it is first used: a start needs one or two of fifty."""

    model_config = ConfigDict(defer_build=True)
