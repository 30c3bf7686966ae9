"""Whom we believe over TLS; this machine's certificates are read only where they are needed."""

import os
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

#: Where OpenSSL looks for certificates, when it is told.
_PLACES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def trusted(urls: Iterable[str]) -> ssl.SSLContext | bool:
    """
    Say whom httpx is to believe: this machine's authorities, or nobody.

    :param urls: all that will be asked; where none is https, reading some hundred certificates
        (20 ms, 1 MB) would be for nothing
    """
    if any(url.startswith("https:") for url in urls):
        return True
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks, and knows no authority


@contextmanager
def no_certificates() -> Iterator[None]:
    """
    Have OpenSSL find no certificates within the block.

    For the import of aiohttp, which reads all of them twice (40 ms, 2 MB). We speak with it to the
    engine's socket and to the gate's, neither of which has TLS; over TLS it now believes nobody.
    """
    told = {name: os.environ.get(name) for name in _PLACES}
    os.environ.update(dict.fromkeys(_PLACES, os.devnull))
    try:
        yield
    finally:
        for name, value in told.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
