"""The page of the API, and every file that a page needs: it works offline, and asks nobody else."""

import gzip
from functools import lru_cache
from importlib import resources
from typing import Final

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

router = APIRouter(include_in_schema=False)

#: What may be fetched, by path: nothing else of the package is.
_FILES: Final = {
    "docs.js": "text/javascript",
    "pages.js": "text/javascript",
    "chart.js": "text/javascript",
    "pages.css": "text/css",
    "mark.svg": "image/svg+xml",
    "vendor/htmx/htmx.min.js": "text/javascript",
    "vendor/uplot/uPlot.iife.min.js": "text/javascript",
    "vendor/uplot/uPlot.min.css": "text/css",
    "vendor/swagger-ui/swagger-ui-bundle.js": "text/javascript",
    "vendor/swagger-ui/swagger-ui.css": "text/css",
}
_HEADERS: Final = {
    # Swagger UI puts style attributes and data: images into its page; scripts are files only.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@router.get("/docs")
def docs() -> Response:
    """Show every operation, and try it."""
    return Response(_read("docs.html"), media_type="text/html", headers=_HEADERS)


@router.get("/static/{path:path}")
def static(path: str, request: Request) -> Response:
    """Hand out one of the files that a page needs."""
    if path not in _FILES:
        raise HTTPException(404, "no such file")
    # Files change with the version only, and a new version is a new process.
    headers = _HEADERS | {"Cache-Control": "public, max-age=3600", "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("accept-encoding", "").lower():
        return Response(
            _packed(path), media_type=_FILES[path], headers=headers | {"Content-Encoding": "gzip"}
        )
    return Response(_read(path), media_type=_FILES[path], headers=headers)


def _read(path: str) -> bytes:
    return resources.files("app.web").joinpath("static", path).read_bytes()


@lru_cache(maxsize=len(_FILES))
def _packed(path: str) -> bytes:
    return gzip.compress(_read(path))
