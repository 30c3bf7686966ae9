"""A raw call of the script that keeps alerts: what a notice costs where nobody is in between."""

import asyncio
import subprocess
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from pathlib import Path
from typing import Final

from redis.asyncio import Redis

from app.adapters.store.codec import ALERT, to_ms
from app.adapters.store.keys import Keys
from app.adapters.store.scripts import script_text
from app.domain.alert import Alert, AlertStatus
from bench.load import ALERT as PAYLOAD
from bench.tools import need

#: Keys of its own, beside those of a Relevo in the same Redis.
_NAMESPACE: Final = "raw:"
TEXT: Final = script_text("accept")


def call() -> tuple[str, list[str], list[str]]:
    """Make a call of the script that keeps one alert: its hash, keys, and arguments."""
    keys = Keys(_NAMESPACE)
    target = "bench/raw"
    labels = PAYLOAD["labels"]
    annotations = PAYLOAD["annotations"]
    assert isinstance(labels, dict)
    assert isinstance(annotations, dict)
    now = datetime.now(UTC)  # noqa: TID251 - a bench has no other clock
    alert = Alert(
        fingerprint="__rand_int__",
        status=AlertStatus.FIRING,
        labels=labels,
        alert_annotations=annotations,
        starts_at=now - timedelta(hours=1),
    )
    now_ms = to_ms(now)
    names = [
        *(keys.due, keys.running, keys.asides, keys.alerts(target), keys.tombs(target)),
        *(keys.meta, keys.fence, keys.leader),
    ]
    notice = [target, alert.fingerprint, "1", f"{now_ms - 3_600_000}", "0", ""]
    args = [
        *(f"{now_ms}", "2592000000", "691200000", "1000", "1", "1000"),
        *notice,
        ALERT.dump(alert).decode(),
        *("", "0", "", "1"),
    ]
    return sha1(TEXT.encode()).hexdigest(), names, args


async def measure(socket: Path, *, calls: int) -> float:
    """
    Call it one after the other, an alert each; return the median in milliseconds.

    :param socket: of the Redis that the controller uses, so that both wait for the same disk
    """
    client: Redis = Redis(unix_socket_path=str(socket))
    try:
        await client.script_load(TEXT)
    finally:
        await client.aclose()
    digest, names, args = call()
    process = await asyncio.create_subprocess_exec(
        *(need("redis-benchmark"), "-s", str(socket), "-c", "1", "-n", str(calls), "-r", "900"),
        *("--csv", "EVALSHA", digest, str(len(names)), *names, *args),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = await process.communicate()
    lines = out.decode().splitlines()
    if len(lines) < 2:
        raise RuntimeError(f"redis-benchmark: {err.decode().strip()}")
    # The first column is the request itself, quotes and commas included: count from the end.
    place = lines[0].split(",").index('"p50_latency_ms"') - len(lines[0].split(","))
    return float(lines[-1].split(",")[place].strip('"'))
