"""`PrometheusUsage` against the real Prometheus, and against far sides that misbehave."""

import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from app.adapters.prometheus_usage import PrometheusUsage
from app.domain.usage import Reading
from app.errors import SourceUnavailable
from tests.adapters.far_side import Answer, far_side, free_port, program
from tests.parts import require

RANGE = "/api/v1/query_range"
#: Long ago, and a multiple of the step.
BEGIN = 1_790_000_100
STRANGE = r"a\"b\\c"


def series() -> str:
    """Ten minutes of the collector's series: half a core, and 100 MiB; of others something else."""
    cpu, memory = [], []
    for second in range(0, 600, 15):
        at = BEGIN + second
        for name, more, cores in (
            ("web", 'engine="ours"', 0.5),
            ("web", 'engine="theirs"', 0.9),
            ("old", 'id="1"', 0.5),
            (STRANGE, 'id="1"', 0.5),
        ):
            cpu.append(
                f'container_cpu_usage_seconds_total{{name="{name}",{more}}} {second * cores} {at}'
            )
            held = 104857600 if cores == 0.5 else 9
            memory.append(f'container_memory_working_set_bytes{{name="{name}",{more}}} {held} {at}')
    return "\n".join(
        (
            "# TYPE container_cpu_usage_seconds counter",
            *cpu,
            "# TYPE container_memory_working_set_bytes gauge",
            *memory,
            "# EOF",
            "",
        )
    )


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a real Prometheus that remembers these ten minutes, and scrapes nobody."""
    binary = require("prometheus")
    place = tmp_path_factory.mktemp("prometheus")
    (place / "past").write_text(series())
    subprocess.run(
        [require("promtool"), "tsdb", "create-blocks-from", "openmetrics", "past", "data"],
        cwd=place,
        check=True,
        capture_output=True,
    )
    (place / "prometheus.yml").write_text("scrape_configs: []\n")
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        binary,
        f"--config.file={place / 'prometheus.yml'}",
        f"--storage.tsdb.path={place / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
    ]
    with program(command, ready=f"{url}/-/ready", log=place / "log"):
        yield url


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as made:
        yield made


async def asked(source: PrometheusUsage, name: str, engine: str = "ours") -> tuple[Reading, ...]:
    begin = datetime.fromtimestamp(BEGIN, UTC)
    return await source.usage(
        engine=engine,
        container=name,
        since=begin - timedelta(minutes=10),
        until=begin + timedelta(minutes=9),
        step=timedelta(seconds=15),
    )


@pytest.mark.parametrize("name", ["web", "old", 'a"b\\c'])
async def test_tells_what_was_used(prometheus: str, client: httpx.AsyncClient, name: str) -> None:
    found = await asked(PrometheusUsage(prometheus, client), name)

    assert [one.at.timestamp() for one in found] == [BEGIN + 15 * n for n in range(37)]
    assert {one.memory_bytes for one in found} == {104857600.0}
    assert found[0].cpu_cores is None  # one sample alone is no rate
    assert [one.cpu_cores for one in found[5:]] == [pytest.approx(0.5)] * 32


async def test_of_one_that_is_not_measured_nothing_is_told(
    prometheus: str, client: httpx.AsyncClient
) -> None:
    source = PrometheusUsage(prometheus, client)

    assert await asked(source, "nobody") == ()
    assert await asked(source, 'x"} or up{job!="') == ()
    assert await asked(source, "web", engine="third") == ()


def matrix(*values: object, labels: dict[str, str] | None = None) -> str:
    result = [{"metric": labels or {}, "values": list(values)}]
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        '{"status":"error","error":"x"}',
        '{"status":"success","data":{"resultType":"vector","result":[]}}',
        matrix([1.0, "soon"]),
        matrix([1.0]),
        matrix(["x", "1"]),
        "[]",
        "no json",
    ],
)
async def test_an_answer_that_is_none_is_said_so(client: httpx.AsyncClient, body: str) -> None:
    async with far_side() as far:
        far.answers[RANGE] = Answer(body)
        with pytest.raises(SourceUnavailable):
            await asked(PrometheusUsage(far.url, client), "web")


async def test_what_is_no_number_is_left_out(client: httpx.AsyncClient) -> None:
    async with far_side() as far:
        far.answers[RANGE] = Answer(matrix([1.0, "NaN"], [2.0, "0.5"], [3.0, "+Inf"]))

        found = await asked(PrometheusUsage(far.url, client), "web")

    assert [one.at.timestamp() for one in found] == [2.0]


@pytest.mark.parametrize(
    "answer", [Answer(status=503), Answer(hangs=True), Answer(breaks=True)], ids=str
)
async def test_no_answer_is_said_so_in_time(client: httpx.AsyncClient, answer: Answer) -> None:
    async with far_side() as far:
        far.answers[RANGE] = answer
        source = PrometheusUsage(far.url, client, limit=timedelta(milliseconds=300))
        with pytest.raises(SourceUnavailable):
            await asked(source, "web")
