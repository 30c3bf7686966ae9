"""The users that Redis is shipped with: Relevo can do its work, and nothing else."""

import re
import subprocess
from importlib import resources
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from app.adapters.store import open_store
from app.errors import StoreUnavailable
from tests.adapters.store.builders import outcome
from tests.adapters.store.conftest import denied
from tests.adapters.store.server import USERS, RedisServer
from tests.parts import require

DEPLOY: Final = Path(__file__).parents[3] / "deploy"
STORE: Final = resources.files("app.adapters.store")
#: Methods of the client that are called otherwise on the wire.
ON_THE_WIRE: Final = {
    "config_get": {"config|get"},
    "script_load": {"script|load"},
    "register_script": {"evalsha", "script|load"},
    "pipeline": {"multi", "exec"},
}
#: Says nothing to the server.
LOCAL: Final = {"execute", "aclose"}


def needed() -> set[str]:
    """Commands that the scripts call, and those that are sent."""
    scripts = "".join(
        one.read_text() for one in STORE.joinpath("lua").iterdir() if one.name.endswith(".lua")
    )
    found = {name.lower() for name in re.findall(r"redis\.p?call\('([A-Z]+)'", scripts)}
    for module in STORE.iterdir():
        if module.name.endswith(".py"):
            for name in re.findall(r"\b_?(?:redis|pipe)\.([a-z_]+)\(", module.read_text()):
                found |= ON_THE_WIRE.get(name, {name} - LOCAL)
    return found


def allowed(user: str) -> set[str]:
    """Commands that a shipped user may use."""
    (line,) = [one for one in USERS.read_text().splitlines() if one.startswith(f"user {user} ")]
    return set(re.findall(r" \+(\S+)", line))


def test_relevo_may_do_what_it_needs_and_no_more() -> None:
    assert len(needed()) > 30
    # To see whether anybody answers is harmless, and what people try first.
    assert allowed("relevo") == needed() | {"ping"}
    assert allowed("health") == {"ping"}
    # Nobody can be this one (below); Redis itself is, when it loads its file.
    assert "user default off resetpass ~* &* +@all" in USERS.read_text().splitlines()


@pytest.fixture
def shipped(short_dir: Path) -> RedisServer:
    """A server with the very files that ``make up`` makes, as compose starts it."""
    home = short_dir / uuid4().hex[:8]
    home.mkdir()
    subprocess.run(
        ["bash", DEPLOY / "airgap" / "secrets.sh"],
        env={"PATH": "/usr/bin:/bin", "RELEVO_SECRETS_DIR": str(home / "secrets")},
        capture_output=True,
        check=True,
    )
    acl = str(home / "secrets" / "redis_acl")
    options = ("--aclfile", acl, "--appendonly", "yes", "--appendfsync", "always")
    return RedisServer(require("redis"), home, *options)


pytestmark = pytest.mark.redis

FORBIDDEN: Final = (
    *("flushall", "flushdb", "keys *", "scan 0", "randomkey", "dbsize", "swapdb 0 1"),
    *("config set dir /tmp", "config rewrite", "config resetstat", "monitor"),
    *("shutdown nosave", "save", "bgsave", "bgrewriteaof", "replicaof 127.0.0.1 1", "role"),
    *("slaveof 127.0.0.1 1", "module list", "migrate h 1 k 0 1"),
    *("acl list", "acl setuser x on", "acl whoami", "client list", "client kill id 1", "select 1"),
    *("eval return{1} 0", "function list", "function flush", "script flush", "script kill"),
    *("subscribe x", "publish x y", "restore {relevo}:x 0 x", "dump {relevo}:x", "latency doctor"),
    *("rename {relevo}:a {relevo}:b", "copy {relevo}:a {relevo}:b", "object help", "cluster info"),
    *("xtrim {relevo}:audit maxlen 0", "xdel {relevo}:audit 1-1", "slowlog get", "memory doctor"),
)
#: What it may do to its own keys, and to no others.
ELSEWHERE: Final = ("get x", "set x 1", "del x", "get relevo:x", "hgetall {other}:x", "mget x y")


def refused(client: Redis, words: str) -> bool:
    try:
        client.execute_command(*words.split())  # type: ignore[no-untyped-call]
    except NoPermissionError:
        return True
    except RedisError:
        return False
    return False


@pytest.mark.parametrize("words", FORBIDDEN + ELSEWHERE)
def test_it_may_not(server: RedisServer, words: str) -> None:
    with Redis.from_url(server.url, protocol=2) as client:
        assert refused(client, words)
        assert client.ping()


def test_a_script_may_do_no_more_than_its_caller(server: RedisServer) -> None:
    with Redis.from_url(server.url, protocol=2) as client:
        for text in ("return redis.call('KEYS', '*')", "return redis.call('GET', 'x')"):
            known = client.script_load(text)
            with pytest.raises(RedisError, match=r"ermission|can't"):
                client.evalsha(known, 0)


async def test_the_audit_cannot_be_cut_short_by_who_writes_it(server: RedisServer) -> None:
    async with open_store(server.url) as store:
        for number in range(3):
            await store.audit.tell(outcome(number))
        with Redis.from_url(server.url, protocol=2) as client:
            for words in ("xtrim {relevo}:audit maxlen 0", "xdel {relevo}:audit 1-1"):
                assert refused(client, words)

        assert (await store.audit.verify()).lines == 3


async def test_what_is_shipped_lets_relevo_work_and_nobody_else(shipped: RedisServer) -> None:
    home = shipped.socket.parent
    address = (home / "secrets" / "relevo_redis_url").read_text()
    password = address.removeprefix("redis://relevo:").partition("@")[0]
    shipped.start()
    try:
        url = f"unix://relevo@{shipped.socket}?password={password}"
        async with open_store(url) as store:
            await store.audit.tell(outcome())
            assert (await store.audit.verify()).lines == 1
            assert "persist" not in "".join(await store.health.remarks())
        with Redis.from_url(f"unix://{shipped.socket}", protocol=2) as anybody:
            assert refused(anybody, "ping") or not _answers(anybody)
        checked = subprocess.run(
            ["redis-cli", "-s", shipped.socket, "--user", "health", "ping"],
            env={"PATH": "/usr/bin:/bin", "REDISCLI_AUTH": "none"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert checked.stdout == "PONG\n"
        with Redis.from_url(f"unix://health@{shipped.socket}?password=x", protocol=2) as health:
            assert all(refused(health, words) for words in (*FORBIDDEN, *ELSEWHERE, "info"))
        with (
            Redis.from_url(f"unix://relevo@{shipped.socket}?password=x") as stranger,
            pytest.raises(AuthenticationError),
        ):
            stranger.ping()
    finally:
        shipped.kill()


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisError:
        return False


async def test_what_relevo_has_written_is_there_after_a_restart(shipped: RedisServer) -> None:
    """A default user without commands would have Redis drop each transaction of its own file."""
    (password,) = re.findall(
        r"^redis://relevo:(\w+)@",
        (shipped.socket.parent / "secrets" / "relevo_redis_url").read_text(),
    )
    url = f"unix://relevo@{shipped.socket}?password={password}"
    try:
        shipped.start()
        async with open_store(url) as store:
            await store.audit.tell(outcome())
        shipped.kill()
        shipped.start()
        async with open_store(url) as store:
            assert (await store.audit.verify()).lines == 1
    finally:
        shipped.kill()


async def test_nobody_is_the_default_user(shipped: RedisServer) -> None:
    shipped.start()
    try:
        for words in ("x", "default x", "default"):
            with Redis.from_url(f"unix://{shipped.socket}", protocol=2) as anybody:
                with pytest.raises(AuthenticationError):
                    anybody.execute_command("AUTH", *words.split())
                with pytest.raises(AuthenticationError):
                    anybody.ping()
    finally:
        shipped.kill()


async def test_without_its_rights_the_store_says_so(short_dir: Path) -> None:
    server = RedisServer(require("redis"), short_dir / uuid4().hex[:8], keys="{other}:*").start()
    try:
        async with open_store(server.url) as store:
            with pytest.raises(StoreUnavailable, match="rights"):
                await store.audit.tell(outcome())
        assert denied(server)
    finally:
        server.kill()
