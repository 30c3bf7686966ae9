"""The pages as one router."""

from fastapi import APIRouter, Depends, Request

from app.web import actions, login, pages
from app.web.links import Links


def site(links: Links) -> APIRouter:
    """
    Put the pages together.

    :param links: where the tools around Relevo are
    """

    async def here(request: Request) -> None:
        request.state.links = links

    router = APIRouter(include_in_schema=False)
    for module in (login, pages, actions):
        router.include_router(module.router, dependencies=[Depends(here)])
    return router
