"""`PrometheusSamples` against the real Prometheus, and against far sides that misbehave."""

import json
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from app.adapters.prometheus import PrometheusSamples
from app.errors import SourceUnavailable
from tests.adapters.far_side import Answer, FarSide, eventually, far_side, free_port, program
from tests.parts import require

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
#: The exporter's own idea of now: the adapter must take it from the value, not from the scrape.
SEEN = int(NOW.timestamp())
QUERY = "/api/v1/query"
RULES = """
groups:
  - name: all
    interval: 200ms
    rules:
      - {alert: RelevoWatchdog, expr: vector(1), labels: {severity: none}}
      - {alert: HighCPU, expr: 'container_last_seen{name=~"hot.*"}', labels: {severity: critical}}
      - {alert: NotYet, expr: vector(1), for: 1h}
"""
STRANGE = 'a"b\\c\nd{}'


class Exporter:
    """A tiny exporter of `container_last_seen`."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.scrapes = 0
        outer = self

        class Page(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.scrapes += 1
                body = "".join(f"{line}\n" for line in outer.lines).encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
        self.port = int(self.server.server_address[1])

    def say(self, name: str, seen: float | str, engine: str | None = None, id: str = "1") -> None:
        labels = {"name": name, "id": f"/docker/{id}"} | ({"engine": engine} if engine else {})
        written = ",".join(f"{key}={_quoted(value)}" for key, value in labels.items())
        self.lines.append(f"container_last_seen{{{written}}} {seen}")


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


@pytest.fixture(scope="module")
def exporter() -> Iterator[Exporter]:
    made = Exporter()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def prometheus(exporter: Exporter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a real Prometheus that scrapes the exporter several times a second."""
    binary = require("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 200ms, scrape_timeout: 200ms}\n"
        "scrape_configs:\n"
        "  - job_name: relevo-containers\n"
        "    honor_labels: true\n"
        f"    static_configs: [{{targets: ['127.0.0.1:{exporter.port}']}}]\n"
        "rule_files: [rules.yml]\n"
    )
    (folder / "rules.yml").write_text(RULES)
    url = f"http://127.0.0.1:{free_port()}"
    arguments = [
        binary,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--web.external-url=http://localhost/prefix/",
        "--log.level=warn",
    ]
    with program(arguments, log=folder / "log", ready=f"{url}/prefix/-/ready"):
        yield f"{url}/prefix"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as made:
        yield made


@pytest.fixture
async def samples(prometheus: str, client: httpx.AsyncClient) -> PrometheusSamples:
    return PrometheusSamples(prometheus, client)


@pytest.fixture
async def fake() -> AsyncIterator[FarSide]:
    async with far_side() as side:
        yield side


async def _newest(samples: PrometheusSamples, name: str, engine: str = "here") -> datetime | None:
    return await samples.newest_sample(engine=engine, container=name, now=NOW)


async def _scraped(samples: PrometheusSamples, name: str, engine: str = "here") -> datetime:
    async def is_there() -> bool:
        return await _newest(samples, name, engine) is not None

    await eventually(is_there)
    seen = await _newest(samples, name, engine)
    assert seen is not None
    return seen


async def test_tells_when_the_collector_saw_it_not_when_it_was_scraped(
    exporter: Exporter, samples: PrometheusSamples
) -> None:
    exporter.say("web", SEEN - 30.5, engine="here")

    assert await _scraped(samples, "web") == NOW - timedelta(seconds=30.5)


async def test_the_newest_incarnation_of_a_name_counts(
    exporter: Exporter, samples: PrometheusSamples
) -> None:
    exporter.say("remade", SEEN - 500, engine="here", id="old")
    exporter.say("remade", SEEN - 5, engine="here", id="new")

    assert await _scraped(samples, "remade") == NOW - timedelta(seconds=5)


async def test_a_container_of_the_same_name_on_another_engine_is_not_ours(
    exporter: Exporter, samples: PrometheusSamples
) -> None:
    exporter.say("twin", SEEN - 5, engine="there")
    exporter.say("twin", SEEN - 600, engine="here")

    assert await _scraped(samples, "twin") == NOW - timedelta(seconds=600)
    assert await _newest(samples, "twin", engine="elsewhere") is None


async def test_series_that_name_no_engine_count_for_every_engine(
    exporter: Exporter, samples: PrometheusSamples
) -> None:
    exporter.say("plain", SEEN - 5)

    assert await _scraped(samples, "plain", engine="anything") == NOW - timedelta(seconds=5)


async def test_a_name_is_a_value_never_a_query(
    exporter: Exporter, samples: PrometheusSamples
) -> None:
    exporter.say(STRANGE, SEEN - 7, engine="here")

    assert await _scraped(samples, STRANGE) == NOW - timedelta(seconds=7)
    assert await _newest(samples, '"} or vector(1) or x{a="') is None


async def test_a_container_that_was_never_measured_has_no_sample(
    samples: PrometheusSamples,
) -> None:
    assert await _newest(samples, "never") is None


async def test_what_is_no_longer_exported_keeps_its_last_sample(
    exporter: Exporter, samples: PrometheusSamples, prometheus: str, client: httpx.AsyncClient
) -> None:
    exporter.say("gone", SEEN - 90, engine="here")
    await _scraped(samples, "gone")
    exporter.lines.clear()

    async def is_stale() -> bool:
        query = {"query": 'container_last_seen{name="gone"}'}
        answer = await client.get(f"{prometheus}{QUERY}", params=query)
        return not answer.json()["data"]["result"]

    await eventually(is_stale)

    assert await _newest(samples, "gone") == NOW - timedelta(seconds=90)


async def test_a_value_that_is_no_time_is_said_so(
    exporter: Exporter, samples: PrometheusSamples
) -> None:
    exporter.say("odd", "+Inf", engine="here")

    with pytest.raises(SourceUnavailable, match=r"\+Inf"):
        await _scraped(samples, "odd")


async def test_lists_what_is_firing_by_the_labels_of_the_rules(
    exporter: Exporter, samples: PrometheusSamples
) -> None:
    watchdog = {"alertname": "RelevoWatchdog", "severity": "none"}

    async def fires(count: int) -> bool:
        return len(await samples.firing()) == count

    await eventually(lambda: fires(1))
    # What is only pending is no symptom yet.
    assert await samples.firing() == (watchdog,)

    exporter.say("hot", SEEN, engine="here")
    exporter.say("hot2", SEEN, engine="there")
    await eventually(lambda: fires(3))
    hot = [labels for labels in await samples.firing() if labels["alertname"] == "HighCPU"]
    assert sorted(labels["name"] for labels in hot) == ["hot", "hot2"]
    assert {name: hot[0][name] for name in ("severity", "job")} == {
        "severity": "critical", "job": "relevo-containers",
    }  # fmt: skip
    assert not {"__name__", "alertstate"} & set(hot[0])

    exporter.lines.clear()
    await eventually(lambda: fires(1))


def _vector(*values: object, **labels: object) -> str:
    result = [{"metric": labels, "value": [1.0, value]} for value in values]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}})


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        pytest.param(Answer(hangs=True), "no answer within 0.3 s", id="hangs"),
        pytest.param(Answer(drips=True), "no answer within 0.3 s", id="drips-for-ever"),
        pytest.param(Answer(breaks=True), "cannot be asked", id="breaks-off"),
        pytest.param(Answer(status=503, body="starting\x1b[31m up"), "503: starting", id="503"),
        pytest.param(Answer(status=302, headers=("Location: /login",)), "answered 302", id="302"),
        pytest.param(Answer(body="<html>"), "not JSON", id="a-login-page"),
        pytest.param(Answer(body=b"\xff\xfe"), "not JSON", id="not-text"),
        pytest.param(Answer(body="[" * 10_000), "not JSON", id="nested-deeply"),
        pytest.param(Answer(body="[]"), "form that is not known", id="another-document"),
        pytest.param(Answer(body='{"status":"error"}'), "form that is not known", id="error"),
        pytest.param(Answer(body=_vector("NaN")), "'NaN'", id="NaN"),
        pytest.param(Answer(body=_vector("-Inf")), "'-Inf'", id="infinite"),
        pytest.param(Answer(body=_vector("1e30")), "'1e30'", id="no-such-year"),
        pytest.param(Answer(body=_vector("soon")), "'soon'", id="not-a-number"),
        pytest.param(Answer(body=_vector(1.5)), "form that is not known", id="value-not-text"),
        pytest.param(Answer(body=_vector("1", engine=7)), "form that is not", id="label-not-text"),
        pytest.param(
            Answer(body='{"status":"success","data":{"resultType":"vector","result":[{"value":[NaN,"1"]}]}}'),
            "not JSON",
            id="NaN-in-JSON",
        ),
    ],
)  # fmt: skip
async def test_whatever_goes_wrong_is_one_sentence(
    fake: FarSide, client: httpx.AsyncClient, answer: Answer, says: str
) -> None:
    fake.answers[QUERY] = answer
    samples = PrometheusSamples(fake.url, client, limit=timedelta(seconds=0.3))

    with pytest.raises(SourceUnavailable, match=says) as caught:
        await _newest(samples, "web")

    assert str(caught.value).startswith("Prometheus ")
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        pytest.param(Answer(drips=True), "no answer within 0.3 s", id="drips-for-ever"),
        pytest.param(Answer(status=503, body="starting"), "503: starting", id="503"),
        pytest.param(Answer(body='{"status":"error"}'), "form that is not known", id="error"),
        pytest.param(Answer(body=_vector("1", alertname=7)), "form that is not", id="no-text"),
    ],
)
async def test_what_fires_is_unknown_rather_than_nothing(
    fake: FarSide, client: httpx.AsyncClient, answer: Answer, says: str
) -> None:
    fake.answers[QUERY] = answer

    with pytest.raises(SourceUnavailable, match=says):
        await PrometheusSamples(fake.url, client, limit=timedelta(seconds=0.3)).firing()


async def test_what_fires_is_asked_by_state(fake: FarSide, client: httpx.AsyncClient) -> None:
    fake.answers[QUERY] = Answer(
        body=_vector("1", __name__="ALERTS", alertname="High", alertstate="firing", name="web")
    )

    assert await PrometheusSamples(fake.url, client).firing() == (
        {"alertname": "High", "name": "web"},
    )
    query = httpx.URL(fake.asked[0]).params["query"]
    assert query == 'ALERTS{alertstate="firing"}'


async def test_nobody_listening_is_said_without_the_password(client: httpx.AsyncClient) -> None:
    samples = PrometheusSamples(f"http://me:hunter2@127.0.0.1:{free_port()}", client)

    with pytest.raises(SourceUnavailable, match="cannot be asked") as caught:
        await _newest(samples, "web")

    assert "hunter2" not in str(caught.value)


async def test_unknown_fields_are_taken(fake: FarSide, client: httpx.AsyncClient) -> None:
    answer = json.loads(_vector(str(SEEN), engine="here")) | {"warnings": ["x"], "infos": []}
    fake.answers[QUERY] = Answer(body=json.dumps(answer))

    assert await _newest(PrometheusSamples(f"{fake.url}/", client), "web") == NOW
    assert [asked.partition("?")[0] for asked in fake.asked] == [QUERY]
