"""Ways out: http(s) only, without what is nobody's business, whatever a container is called."""

from urllib.parse import parse_qs, urlsplit

import pytest

from app.web.links import Links
from tests.builders import at, remediation

EVERYTHING = Links(
    prometheus="http://prometheus:9090/sub/",
    alertmanager="https://alertmanager:9093",
    grafana="https://user:secret@grafana.example/",
)


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "file:///etc/passwd", "ftp://a/", "http://", "grafana", None]
)
def test_only_web_addresses_are_linked(url: str | None) -> None:
    links = Links(prometheus=url, alertmanager=url, grafana=url)

    assert links.of_container("host1", "web", now=at(0)) == ()


def test_secrets_are_left_out() -> None:
    urls = [link.url for link in EVERYTHING.of_container("host1", "web", now=at(0))]

    assert len(urls) == 3
    assert not any("secret" in url or "user" in url for url in urls)
    assert urls[0].startswith("https://grafana.example/d/relevo-container?")


@pytest.mark.parametrize("name", ["web", 'a"} or vector(1) #', "a&g0.expr=up", "a\\", "b/../c?x"])
def test_a_name_stays_a_name(name: str) -> None:
    grafana, prometheus, alertmanager = EVERYTHING.of_container("host1", name, now=at(0))

    assert parse_qs(urlsplit(grafana.url).query)["var-container"] == [name]
    written = name.replace("\\", "\\\\").replace('"', '\\"')
    (asked,) = parse_qs(urlsplit(prometheus.url).query)["g0.expr"]
    assert f'{{name="{written}"}}' in asked
    assert urlsplit(alertmanager.url).query == ""


def test_a_story_leads_to_its_time() -> None:
    record = remediation(opened_at=at(0), closed_at=at(600))

    grafana = EVERYTHING.of_story(record, now=at(86_400))[0]

    asked = parse_qs(urlsplit(grafana.url).query)
    assert asked["from"] == [str(round(at(-900).timestamp() * 1000))]
    assert asked["to"] == [str(round(at(1500).timestamp() * 1000))]
