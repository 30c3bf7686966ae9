"""
Ceilings: a bare ASGI application, and FastAPI with pydantic. Neither keeps anything.

    python -m bench.peers.ceilings bare|fastapi PORT
"""

import sys

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    """Read the body, and answer."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send(
        {"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]}
    )
    await send({"type": "http.response.body", "body": b""})


class _Alert(BaseModel):
    status: str
    labels: dict[str, str]
    annotations: dict[str, str]
    startsAt: str
    fingerprint: str


class _Notice(BaseModel):
    version: str
    alerts: list[_Alert]


def validating() -> FastAPI:
    """Make an application that validates what it is sent, and answers."""
    app = FastAPI(openapi_url=None)

    @app.post("/", status_code=202)
    async def take(request: Request) -> Response:
        if not request.headers.get("authorization"):
            raise HTTPException(401)
        notice = _Notice.model_validate_json(await request.body())
        return Response(str(len(notice.alerts)), status_code=202)

    return app


def main() -> None:
    """Serve until stopped, by the same server as Relevo."""
    kind, port = sys.argv[1:]
    app: ASGIApp = bare if kind == "bare" else validating()
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(port),
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
    )


if __name__ == "__main__":
    main()
