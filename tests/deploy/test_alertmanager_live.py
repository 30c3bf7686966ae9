"""The shipped Alertmanager configuration in a real Alertmanager: who gets which words."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.alertmanager import Chain, running_chain

CPU = {
    "labels": {
        "alertname": "ContainerHighCPU",
        "severity": "critical",
        "engine": "h1",
        "name": "shop_web_2",
        "group": "shop-web",
        "container_label_com_docker_compose_project": "shop",
        "container_label_com_docker_compose_service": "web",
    },
    "annotations": {
        "summary": "shop_web_2 uses 97% of the CPU it may use",
        "description": "Container shop_web_2 on h1 has used more than 80%, now 97% of 0.50 cores.",
        "relevo_settle": "4m",
    },
}
DB = {"engine": "h1", "name": "db", "group": "db", "target": "h1:db", "severity": "warning"}
WEB = {
    "engine": "h1",
    "name": "shop_web_2",
    "group": "shop-web",
    "target": "h1:shop-web-2",
    "severity": "warning",
}
#: As Relevo posts them.
ESCALATED = {
    "labels": {"alertname": "RelevoEscalated", **DB},
    "annotations": {
        "summary": "db needs a person: both would write to the same volume or folder",
        "description": (
            "db on h1 is quarantined. It has needed help since 10:00 UTC (ContainerHighCPU). "
            "Why it stopped: 3 failed restarts within 1h, now 97% of 0.50 cores."
        ),
        "relevo_did": "restarted it at 10:01, 10:08 and 10:21, none helped",
        "relevo_next": "nothing: db stays quarantined until a person releases it",
        "relevo_decide": "mount it read-only; then release it (relevo release h1:db)",
        "relevo_url": "https://relevo.example/remediations/r-1",
    },
}
SCALED_OUT = {
    "labels": {"alertname": "RelevoScaledOut", **WEB},
    "annotations": {
        "summary": "shop_web_2 was scaled out: shop-web-3 runs beside it",
        "description": "shop_web_2 on h1: 3 failed restarts within 1h (ContainerHighCPU).",
        "relevo_did": "restarted it at 10:01, 10:08 and 10:21; started shop-web-3 at 10:26",
        "relevo_next": "watches whether the alerts of the group end within 10m",
        "relevo_url": "https://relevo.example/remediations/r-2",
    },
}
AT_WORK = {
    "labels": {"alertname": "RelevoAtWork", **WEB, "severity": "info"},
    "annotations": {
        "summary": "Relevo looks after shop_web_2",
        "description": "shop_web_2 on h1 has needed help since 10:00 UTC (ContainerHighCPU).",
        "relevo_next": "restarts shop_web_2 at 10:01 UTC, unless its alerts end before",
        "relevo_url": "https://relevo.example/remediations/r-2",
    },
}
CHRONIC = {
    "labels": {"alertname": "RelevoChronic", **WEB},
    "annotations": {
        "summary": "shop_web_2 needed 6 restarts in 24h, and each helped",
        "description": "Restarts cure shop_web_2 on h1, but not for long: 6 in 24h.",
        "relevo_next": "restarts it again when it needs it",
        "relevo_decide": "look for what fills up over time: memory, files, connections, a queue",
    },
}
BRAKE = {
    "labels": {"alertname": "RelevoBrake", "engine": "h1", "severity": "warning"},
    "annotations": {
        "summary": "Relevo has stopped acting: 5 containers failed within 1h",
        "description": "Restarts of 5 of 12 containers on h1 did not help within 1h.",
        "relevo_did": "froze every automatic action at 10:30",
        "relevo_next": "goes on when at most one of them is left and 10m have passed",
        "relevo_decide": "look at the host first; resume when the cause is gone (relevo resume)",
        "relevo_url": "https://relevo.example/",
    },
}
MANY_FAILING = {
    "labels": {"alertname": "RelevoManyContainersFailing", "engine": "h1", "severity": "warning"},
    "annotations": {
        "summary": "4 containers had a failed restart within the last 1h",
        "description": "4 different containers on h1 were restarted and it did not help.",
    },
}
HOSTILE = {
    "labels": {
        "alertname": "Strange & <!channel>",
        "severity": "critical",
        "engine": "h2",
        "name": "x|y> <!here>",
    },
    "annotations": {"relevo_url": "javascript:alert(1)"},
}
WATCHDOG = {"labels": {"alertname": "RelevoWatchdog", "severity": "none"}}
DOWN = {
    "labels": {"alertname": "RelevoDown", "severity": "warning", "job": "relevo"},
    "annotations": {"summary": "Relevo is down", "description": "Nothing is healed."},
}


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    with running_chain(tmp_path) as chain:
        yield chain


def test_who_hears_of_what_and_of_its_end(chain: Chain) -> None:
    chain.post(WATCHDOG, CPU, ESCALATED, DOWN)

    chain.relevo.wait(lambda taken: taken)
    chain.slack.wait(lambda _: len(chain.slack.taken) >= 3)
    assert [alert["labels"] for n in chain.relevo.taken for alert in n["alerts"]] == [CPU["labels"]]
    assert chain.relevo.taken[0]["alerts"][0]["annotations"] == CPU["annotations"]

    # What Relevo asks: its own alerts by receiver, the watchdog without.
    listed = chain.api.get("/api/v2/alerts", params={"receiver": "relevo"}).json()
    assert [alert["labels"]["alertname"] for alert in listed] == ["ContainerHighCPU"]
    alive = chain.api.get("/api/v2/alerts", params={"filter": "alertname=RelevoWatchdog"}).json()
    assert [alert["receivers"] for alert in alive] == [[{"name": "nobody"}]]

    chain.post(CPU, ESCALATED, DOWN, over=True)
    chain.relevo.wait(lambda taken: taken[-1]["status"] == "resolved")
    chain.slack.wait(lambda _: chain.words("Over: "))
    # Of a container Relevo tells the end, and not each alert: it goes and comes with each restart.
    (over,) = chain.words("Over: ")
    assert over["title"] == "Over: Relevo is down"
    assert over["color"] == "good"
    assert chain.words("RelevoWatchdog") == []
    assert "RelevoWatchdog" not in str(chain.relevo.taken)
    assert "RelevoEscalated" not in str(chain.relevo.taken)


def test_what_slack_is_told(chain: Chain) -> None:
    chain.post(CPU)
    chain.slack.wait(lambda taken: taken)
    (cpu,) = chain.words("97%")
    assert cpu["title"] == "shop_web_2 uses 97% of the CPU it may use (h1)"
    assert cpu["color"] == "danger"
    # The page of the target, which Relevo knows as project-service-number.
    assert cpu["title_link"] == "http://localhost:5000/targets/h1:shop-web-2"
    assert "now 97% of 0.50 cores" in cpu["text"]
    assert "Relevo has said nothing about it so far." in cpu["text"]


def test_the_end_of_what_relevo_does_not_look_after_is_told(chain: Chain) -> None:
    alone = {**CPU, "labels": {**CPU["labels"], "relevo_care": "none"}}
    chain.post(alone)
    chain.slack.wait(lambda taken: taken)
    (cpu,) = chain.words("97%")
    assert "It has not opted in with Relevo." in cpu["text"]
    assert "Relevo has said nothing" not in cpu["text"]
    # Relevo hears of it all the same: the word may be wrong.
    chain.relevo.wait(lambda taken: taken)

    chain.post(alone, over=True)
    chain.slack.wait(lambda taken: len(taken) >= 2)
    _, over = chain.words("97%")
    assert over["title"] == "Over: shop_web_2 uses 97% of the CPU it may use (h1)"
    assert over["color"] == "good"
    assert over["text"].startswith("Over: ")


RED, YELLOW = "danger", "warning"
HOME = "http://localhost:5000"


@pytest.mark.parametrize(
    ("alert", "color", "page"),
    [
        pytest.param(ESCALATED, RED, "https://relevo.example/remediations/r-1", id="escalated"),
        pytest.param(SCALED_OUT, YELLOW, "https://relevo.example/remediations/r-2", id="scaled"),
        # Relevo does not know its own address: the page of the target, at the configured one.
        pytest.param(CHRONIC, YELLOW, f"{HOME}/targets/h1%3Ashop-web-2", id="chronic"),
        pytest.param(BRAKE, RED, "https://relevo.example/", id="brake"),
        pytest.param(MANY_FAILING, YELLOW, f"{HOME}/", id="many-failing"),
    ],
)
def test_what_slack_is_told_of_relevos_own(
    chain: Chain, alert: dict[str, dict[str, str]], color: str, page: str
) -> None:
    chain.post(alert)
    chain.slack.wait(lambda taken: taken)

    (message,) = [message["attachments"][0] for message in chain.slack.taken]
    said = alert["annotations"]
    assert message["title"] == message["fallback"] == said["summary"] + " (h1)"
    assert message["color"] == color
    assert message["title_link"] == page
    lines = [said["description"]]
    for key, words in (("did", "Relevo"), ("next", "Next"), ("decide", "You can")):
        if f"relevo_{key}" in said:
            lines.append(f"{words}: {said[f'relevo_{key}']}")
    assert message["text"].split("\n") == [*lines, ""]


def test_one_incident_is_one_message(chain: Chain) -> None:
    """Several containers of a group, and what Relevo says of it, come together."""
    second = {**CPU, "labels": {**CPU["labels"], "name": "shop_web_3"}}
    elsewhere = {**CPU, "labels": {**CPU["labels"], "engine": "h2"}}
    chain.post(CPU, second, elsewhere)
    chain.slack.wait(lambda taken: len(taken) >= 2)
    (together,) = chain.words("2 alerts")
    assert together["title"] == "2 alerts for shop-web on h1"
    # To Relevo they go one by one.
    chain.relevo.wait(lambda taken: len(taken) == 3)
    assert all(len(notice["alerts"]) == 1 for notice in chain.relevo.taken)
    # Relevo's own outcome joins the same group: the message is about it, and leads to its story.
    chain.post(SCALED_OUT)
    chain.slack.wait(lambda _: chain.words("was scaled out"))
    (together,) = chain.words("was scaled out")
    assert together["title"] == f"{SCALED_OUT['annotations']['summary']} (h1)"
    assert together["title_link"] == SCALED_OUT["annotations"]["relevo_url"]
    assert together["color"] == RED
    for alert in (CPU, SCALED_OUT):
        said = alert["annotations"]
        assert f"*{said['summary']}*\n{said['description']}\n" in together["text"]
    # What a person has to decide is not one of many.
    needs = {**ESCALATED, "labels": {**ESCALATED["labels"], **WEB}}
    chain.post(needs)
    chain.slack.wait(lambda _: chain.words("needs a person"))
    (urgent,) = chain.words("needs a person")
    assert urgent["title"] == f"{needs['annotations']['summary']} (h1)"
    assert urgent["title_link"] == needs["annotations"]["relevo_url"]


def test_a_first_notice_says_what_comes_next(chain: Chain) -> None:
    chain.post(CPU, AT_WORK)
    chain.slack.wait(lambda taken: taken)

    (message,) = chain.words("97%")
    assert message["title"] == f"{CPU['annotations']['summary']} (h1)"
    assert message["title_link"] == AT_WORK["annotations"]["relevo_url"]
    assert message["text"].split("\n") == [
        CPU["annotations"]["description"],
        f"Next: {AT_WORK['annotations']['relevo_next']}",
        "",
    ]


def test_a_crowd_is_cut(chain: Chain) -> None:
    """A whole service may be ill; a message stays one that can be read, and is sent."""
    crowd = [
        {**one, "labels": {**one["labels"], "name": f"shop_web_{number}"}}
        for one in (CPU, AT_WORK, ESCALATED)
        for number in range(20)
    ]
    crowd = [{**one, "labels": {**one["labels"], "group": "shop-web"}} for one in crowd]
    chain.post(*crowd)
    chain.slack.wait(lambda taken: taken)

    (message,) = [message["attachments"][0] for message in chain.slack.taken]
    assert message["title"].endswith("(h1), and not it alone")
    assert message["text"].endswith("Alertmanager has more of them.\n")


LRE, PDF, RLO, ZERO = "\u202a", "\u202c", "\u202e", "\u200b"


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        pytest.param("<script>alert('1')</script>", "&lt;script&gt;alert('1')", id="script"),
        pytest.param("\"quoted\" 'too' \\n {{ .Labels }}", "{{ .Labels }}", id="quotes"),
        pytest.param("<!channel> <!here> @channel", "&lt;!channel&gt; &lt;!here&gt;", id="shouts"),
        pytest.param("<@U012AB3CD>", "&lt;@U012AB3CD&gt;", id="mentions"),
        pytest.param(
            "<http://evil.example|click>", "&lt;http: //evil.example|click&gt;", id="link"
        ),
        pytest.param("see https://evil.example/x", "see https: //evil.example/x", id="address"),
        pytest.param("&lt;!channel&gt;", "&amp;lt;!channel&amp;gt;", id="escaped-before"),
        pytest.param("```rm -rf /``` *bold*", "'''rm -rf /''' 'bold'", id="code-and-bold"),
        pytest.param(f"a{RLO}gpj.exe{PDF}{LRE}{ZERO}b", "agpj.exeb", id="right-to-left"),
        pytest.param("one\n\n> two\r\tthree", "one &gt; two three", id="lines"),
        pytest.param("<&>" * 3_500, "&lt;&amp;&gt;&lt;&amp;&gt;", id="10-kB-of-escapes"),
        pytest.param("x" * 10_000, "x" * 60, id="10-kB"),
    ],
)
def test_whatever_strangers_write_is_harmless(chain: Chain, hostile: str, shown: str) -> None:
    """The far side refuses what shouts, links, turns around or is too long; here as a symptom."""
    words = ("summary", "description", "relevo_did", "relevo_next", "relevo_decide", "relevo_url")
    labels = {name: hostile for name in ("engine", "name", "group", "target")}
    for name, severity in (("Symptom", "critical"), ("RelevoEscalated", "warning")):
        alert = {
            "labels": {"alertname": name, "severity": severity, **labels, "id": name},
            "annotations": dict.fromkeys(words, hostile),
        }
        chain.post({**alert, "labels": {**alert["labels"], "group": f"{name}{hostile}"}})
    bare = {"labels": {"alertname": hostile, "severity": "critical", **labels, "group": "bare"}}
    chain.post({**bare, "annotations": {}})
    chain.slack.wait(lambda _: len(chain.slack.taken) == 3 or chain.slack.refused)

    assert chain.slack.refused == []
    for message in chain.slack.taken:
        (attachment,) = message["attachments"]
        assert shown in attachment["text"]
        assert attachment["title_link"].startswith("http://localhost:5000/targets/")


def test_a_strangers_alert_does_not_choose_where_its_message_leads(chain: Chain) -> None:
    evil = {**CPU, "annotations": {**CPU["annotations"], "relevo_url": "https://evil.example/"}}
    chain.post(evil)
    chain.slack.wait(lambda taken: taken)

    (message,) = chain.slack.taken
    assert "evil" not in str(message)


def test_strangers_cannot_shout_or_link(chain: Chain) -> None:
    chain.post(HOSTILE)
    chain.slack.wait(lambda taken: taken)
    (message,) = chain.slack.taken
    (attachment,) = message["attachments"]
    text = attachment["title"] + attachment["text"] + attachment["fallback"]
    assert "<!" not in text
    assert "Strange &amp; &lt;!channel&gt;" in text
    assert "javascript" not in str(message)
    assert re.fullmatch(r"http://localhost:5000/targets/h2:[\w%+.-]+", attachment["title_link"])
