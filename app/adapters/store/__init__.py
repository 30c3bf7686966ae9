"""
Redis: it counts and keeps, Python judges.

`open_store` opens all parts of one store; `embedded_server` runs a server for it where no
other is given. Every script is atomic and may be repeated blindly, because a call whose
answer was lost has often been applied.
"""

from app.adapters.store.opening import open_store

__all__ = ["open_store"]
