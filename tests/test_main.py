"""What the settings lead to."""

from typing import Any

import httpx
import pytest

from app.main import grafana_of
from app.settings import Settings

URL = "https://grafana.example/base"


@pytest.mark.parametrize(
    ("settings", "takes_annotations"),
    [
        pytest.param({}, False, id="no Grafana"),
        pytest.param({"grafana_token": "glsa_1"}, False, id="a token for nobody"),
        pytest.param({"grafana_url": URL}, False, id="no right to write there"),
        pytest.param({"grafana_url": URL, "grafana_token": "glsa_1"}, True, id="a token"),
        pytest.param(
            {"grafana_url": "https://relevo:pw@grafana.example"}, True, id="a user and a password"
        ),
    ],
)
async def test_annotations_go_where_relevo_may_write_them(
    settings: dict[str, Any], takes_annotations: bool
) -> None:
    async with httpx.AsyncClient() as http:
        assert (grafana_of(Settings(**settings), http) is not None) is takes_annotations
