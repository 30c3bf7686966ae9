"""The pages as one router."""

from fastapi import APIRouter, Depends, Request

from app.web import actions, login, pages
from app.web.links import Links
from app.web.login import Slowing


def site(links: Links) -> APIRouter:
    """
    Put the pages together.

    :param links: where the tools around Relevo are, and how people reach it
    """
    slowing = Slowing()

    async def here(request: Request) -> None:
        request.state.links = links
        request.state.slowing = slowing

    router = APIRouter(include_in_schema=False)
    for module in (login, pages, actions):
        router.include_router(module.router, dependencies=[Depends(here)])
    return router
