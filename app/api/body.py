"""Bodies, bounded."""

from typing import Final

from fastapi import HTTPException, Request

#: 10,000 alerts of usual size are 3.5 MB.
MAX_BODY: Final = 4 * 1024 * 1024


async def read_body(request: Request) -> bytes:
    """
    Read the whole body, up to `MAX_BODY` bytes.

    Counted as it comes: a Content-Length may be missing or a lie.
    """
    too_large = HTTPException(413, f"the body is larger than {MAX_BODY} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdecimal() and len(declared) > len(str(MAX_BODY)):
        raise too_large
    chunks = bytearray()
    async for chunk in request.stream():
        chunks += chunk
        if len(chunks) > MAX_BODY:
            raise too_large
    return bytes(chunks)
