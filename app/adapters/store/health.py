"""Whether Redis is set up to keep what it was told."""

from redis.exceptions import ResponseError

from app.adapters.store.client import Line

#: ``ZADD … LT`` came with Redis 6.2; Valkey calls itself 7.2 or later here.
_OLDEST = (6, 2)


class RedisHealth:
    """See `app.ports.StoreHealth`."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._redis = line.redis

    async def check(self) -> tuple[str, ...]:
        """See `app.ports.StoreHealth`."""
        info = await self._info()
        wrong = []
        version = str(info.get("redis_version", ""))
        if _numbers(version) < _OLDEST:
            wrong.append(f"Redis {version} is too old: Relevo needs 6.2 or later.")
        if info.get("role") != "master":
            wrong.append("Redis is a read-only replica: RELEVO_REDIS_URL must lead to the primary.")
        if info.get("aof_enabled") != 1:
            wrong.append(
                "Redis keeps no append-only file, so a restart of it loses accepted alerts: "
                "start it with --appendonly yes."
            )
        elif info.get("aof_last_write_status") != "ok":
            wrong.append("Redis cannot write its append-only file: its disk may be full.")
        policy = info.get("maxmemory_policy")
        if policy != "noeviction":
            wrong.append(
                f"Redis may throw away what Relevo keeps (maxmemory-policy {policy}): "
                "set it to noeviction."
            )
        limit = _number(info, "maxmemory")
        if 0 < limit <= _number(info, "used_memory"):
            wrong.append(f"Redis is full: {limit} bytes are its maxmemory.")
        return tuple(wrong)

    async def remarks(self) -> tuple[str, ...]:
        """See `app.ports.StoreHealth`."""
        async with self._line.answering():
            try:
                config = await self._redis.config_get("appendfsync")
            except ResponseError:
                # Managed services hide CONFIG.
                return ("Redis does not say whether it writes to disk before it answers.",)
        fsync = config.get("appendfsync")
        if fsync == "always":
            return ()
        return (
            f"Redis answers before what it took is on disk (appendfsync {fsync}): a power cut "
            "may lose the last two seconds. Start it with --appendfsync always.",
        )

    async def _info(self) -> dict[str, object]:
        async with self._line.answering():
            info: dict[str, object] = await self._redis.info()
        return info


def _number(info: dict[str, object], name: str) -> int:
    value = info.get(name)
    return value if isinstance(value, int) else 0


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
