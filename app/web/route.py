"""Routes of pages: whatever goes wrong is a page too, and says what to do."""

from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from app.domain.reason import Reason
from app.errors import (
    EngineUnavailable,
    NotAccepting,
    OrderConflict,
    OrderRefused,
    StoreUnavailable,
)
from app.policies.plain_words import fix
from app.web.guard import LoginNeeded, login_query
from app.web.links import Links
from app.web.rendering import HEADERS, render, root_of, squeezed

log: Final = structlog.get_logger("relevo.web")


class PageRoute(APIRoute):
    """Answers every error with a page, and never with a stack trace."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler."""
        handle = super().get_route_handler()

        async def safely(request: Request) -> Response:
            try:
                answer = await handle(request)
            except LoginNeeded:
                return login_first(request)
            except Exception as exc:  # noqa: BLE001 - told as a page, and logged where it is new
                answer = _fault(request, exc)
            return squeezed(request, answer)

        return safely


def login_first(request: Request) -> Response:
    """Lead to the login; what a page's script asked for has the page ask anew, and led there."""
    where = f"{root_of(request)}login?{login_query(request)}"
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={**HEADERS, "HX-Refresh": "true"})
    return RedirectResponse(where, status_code=303, headers=HEADERS)


def _fault(request: Request, exc: Exception) -> Response:
    status, said, do = _told(request, exc)
    return render(
        request,
        "fault.html",
        status=status,
        # What is not there, or away, may come: but an order is not sent again for that.
        may_pass=status in (404, 503) and request.method in ("GET", "HEAD"),
        title=HTTPStatus(status).phrase,
        said=said,
        do=do,
    )


def _told(request: Request, exc: Exception) -> tuple[int, str, str]:
    """Say what went wrong: status, a sentence, and what to do."""
    prefix = getattr(request.state, "links", Links()).label_prefix
    match exc:
        case HTTPException():
            return exc.status_code, str(exc.detail), ""
        case RequestValidationError():
            return 422, "that address asks for something that there is not", ""
        case OrderRefused():
            return 422, str(exc), fix(exc.reason, prefix=prefix)
        case OrderConflict():
            return 409, str(exc), ""
        case StoreUnavailable():
            return 503, f"The store does not answer: {exc}", fix(Reason.STORE_DOWN, prefix=prefix)
        case EngineUnavailable():
            return 503, f"The container engine does not answer: {exc}", ""
        case NotAccepting():
            return 503, str(exc), ""
        case _:
            log.error("page failed", path=request.url.path, exc_info=exc)
            return 500, "Something in Relevo itself went wrong; its log says what.", ""
