"""What joins a Prometheus and an Alertmanager to Relevo: added to their own files, as text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os.path import normpath
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from app.adapters.alertmanager_routes import UnreadableRoutes, read_configuration
from app.adapters.join_proof import Labels, at_most, difference, notified_anew
from app.adapters.yaml_insert import add, load, newline_of, plain_or_quoted, quoted, wrap
from app.errors import BadConfiguration

RULE_FILE: Final = "relevo_rules.yml"
#: Takes RelevoWatchdog, and what only belongs beside a symptom (docs/slack.md): tells nobody.
NOBODY: Final = "relevo-nobody"
WEBHOOK: Final = "/api/v1/webhooks/alertmanager"
#: Of the processor; 400 routes and 500 alerts that fire need 4 s on a small host.
_TRIED_WITHIN_S: Final = 10.0
_NOTE: Final = "Added by relevo connect"


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """Where things are, as Prometheus and Alertmanager see them."""

    #: ``host:port`` of the controller.
    relevo: str
    #: ``host:port`` of the collector; None: another exporter has the containers' series.
    collector: str | None
    #: The name of Relevo's receiver.
    receiver: str = "relevo"
    #: Every alert that Relevo is told of has these; besides, a label that names a container.
    matchers: tuple[str, ...] = ('severity="critical"',)
    #: Labels that name a container, of which an alert must have one.
    names: tuple[str, ...] = ("name",)
    read_token_file: str = "relevo_token_read"  # noqa: S105 - a path
    ingest_token_file: str = "relevo_token_ingest"  # noqa: S105 - a path


@dataclass(frozen=True, slots=True)
class Joined:
    """A file as it is to be."""

    text: str
    #: What was added, a phrase each; empty: it was all there.
    added: tuple[str, ...]
    #: What the loaded configuration holds as soon as it is this one.
    signs: tuple[str, ...] = ()
    #: How many alerts that fire now their people are told of once more.
    anew: int = 0


def jobs(join: Join) -> Mapping[str, str]:
    """Write the scrape jobs, by name."""
    # Scraped as often as the rules assume, whatever is usual there.
    own = f"""\
- job_name: relevo
  scrape_interval: 15s
  scrape_timeout: 10s
  authorization: {{credentials_file: {join.read_token_file}}}
  static_configs:
    - targets: ['{join.relevo}']
"""
    containers = f"""\
- job_name: relevo-containers
  metrics_path: /metrics/containers
  scrape_interval: 15s
  scrape_timeout: 10s
  honor_labels: true
  honor_timestamps: false
  static_configs:
    - targets: ['{join.collector}']
"""
    return {"relevo": own} | ({} if join.collector is None else {"relevo-containers": containers})


def own_routes(join: Join) -> str:
    """Write the routes that come before all others."""
    matchers = [one.replace("'", "''") for one in (*join.matchers, 'alertname!~"Relevo.*"')]
    matched = ", ".join(f"'{one}'" for one in matchers)
    text = f"""\
- matchers: ['alertname=~"Relevo(Watchdog|AtWork|Over)"']
  receiver: {NOBODY}
"""
    for name in join.names:
        text += f"""\
- matchers: [{matched}, '{name}=~".+"']
  receiver: {plain_or_quoted(join.receiver)}
  group_by: [alertname, engine, {name}]
  group_wait: 0s
  group_interval: 30s
  continue: true
"""
    return text


def own_receivers(join: Join, *, nobody: bool = True) -> str:
    """Write the receivers; the one that tells nobody where it is asked for."""
    return f"""\
{f"- name: {NOBODY}" if nobody else ""}
- name: {plain_or_quoted(join.receiver)}
  webhook_configs:
    - url: http://{join.relevo}{WEBHOOK}
      send_resolved: true
      http_config:
        authorization: {{credentials_file: {join.ingest_token_file}}}
"""


def join_prometheus(text: str, source: str, join: Join, *, alertmanager: str | None) -> Joined:
    """
    Add jobs and rule file to a prometheus.yml.

    :param source: its path, as Prometheus was given it
    :param alertmanager: URL to send alerts to; None: it sends them already
    :raises BadConfiguration: it is no such file, or cannot be added to
    """
    document, added, signs = load(text, source), [], []
    known = {job.get("job_name") for job in _list(document, "scrape_configs", source)}
    for name, block in jobs(join).items():
        if name not in known:
            text = add(text, source, ["scrape_configs"], block, note=_NOTE)
            added.append(f"job {name}")
            signs.append(f"job_name: {name}\n")
    patterns = [str(one) for one in _list(document, "rule_files", source)]
    if not any(_takes_rules(one, source) for one in patterns):
        text = add(text, source, ["rule_files"], f"- {RULE_FILE}\n", note=_NOTE)
        added.append(f"rule file {RULE_FILE}")
        signs.append(RULE_FILE)
    if alertmanager is not None and "alerting" not in document:
        end = newline_of(text)
        text += "" if text.endswith("\n") else end
        text += f"alerting:{end}  alertmanagers: []{end}"
        text = add(text, source, ["alerting", "alertmanagers"], _sending(alertmanager), note=_NOTE)
        added.append(f"Alertmanager {alertmanager}")
        signs.append("alertmanagers:")
    return Joined(text, tuple(added), tuple(signs))


def _takes_rules(pattern: str, source: str) -> bool:
    """Tell whether a pattern, which is meant from that file's directory, takes our rules."""
    beside = Path(source).parent
    return (beside / RULE_FILE).match(normpath(beside / pattern))


def _sending(url: str) -> str:
    """Write where to send alerts."""
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise BadConfiguration(
            "Prometheus sends its alerts to nobody, and Alertmanager asks for a user and a "
            "password: write alerting.alertmanagers into its file by hand"
        )
    block = f"- static_configs:\n    - targets: [{quoted(parts.netloc)}]\n"
    block += "  scheme: https\n" if parts.scheme == "https" else ""
    path = parts.path.rstrip("/")
    return block + (f"  path_prefix: {quoted(path)}\n" if path else "")


def join_alertmanager(
    text: str, source: str, join: Join, *, firing: Sequence[Labels] = ()
) -> Joined:
    """
    Add routes and receivers to an alertmanager.yml; who is told what today is told it tomorrow.

    With a route to Relevo the top route would be none's last resort any more: Alertmanager asks
    it only where no child matches. So it gets a child of its own at the end, without matchers.
    Where a route of theirs continues, an alert that it takes would then go there as well, so all
    of theirs become children of that child. That nobody else is told of anything else is then
    tried with examples for each of their routes, and with what fires.

    :param firing: labels of the alerts that people are notified of now
    :raises BadConfiguration: it is no such file, cannot be added to, or has a receiver of that
        name which leads elsewhere
    """
    document, before, added = load(text, source), text, []
    route = document.get("route")
    if not isinstance(route, dict) or not route.get("receiver"):
        raise BadConfiguration(f"{source}: is no configuration of Alertmanager: it has no route")
    receivers = {one.get("name"): one for one in _list(document, "receivers", source)}
    ours = receivers.get(join.receiver)
    if ours is not None and not _leads_to_relevo(ours):
        raise BadConfiguration(
            f"{source}: the receiver {join.receiver!r} leads elsewhere: choose another name with "
            "--receiver, and set RELEVO_ALERTMANAGER_RECEIVER to it"
        )
    if ours is None:
        block = own_receivers(join, nobody=NOBODY not in receivers).lstrip("\n")
        text = add(text, source, ["receivers"], block, note=_NOTE)
        added.append(f"receiver {join.receiver}")
    theirs = _list(route, "routes", source)
    signs = (f"receiver: {plain_or_quoted(join.receiver)}\n",)
    if any(one.get("receiver") == join.receiver for one in theirs):
        return Joined(text, tuple(added), signs)
    path = ["route", "routes"]
    try:
        # As it is written there: to YAML `0x1A` or `1.0` is a number, to Alertmanager it is not.
        last = f"- receiver: {plain_or_quoted(str(read_configuration(text)['route']['receiver']))}"
    except UnreadableRoutes as exc:
        raise BadConfiguration(f"{source}: {exc}") from exc
    if any(one.get("continue") for one in theirs):
        text = wrap(text, source, path, last)
    elif not theirs or not _takes_all(theirs[-1]):
        text = add(text, source, path, last, note=f"{_NOTE}: without it nobody else would be told")
    text = add(text, source, path, own_routes(join), first=True, note=_NOTE)
    added.append(f"route to {join.receiver}, before yours")
    return Joined(text, tuple(added), signs, _proved(before, text, source, join, firing))


def _proved(before: str, after: str, source: str, join: Join, firing: Sequence[Labels]) -> int:
    """Count who is told once more. :raises BadConfiguration: other people would be told"""
    receiver, by_hand = join.receiver, "so it was left as it is; add the snippet by hand"
    try:
        with at_most(_TRIED_WITHIN_S):
            found = difference(
                before, after, receiver=receiver, matchers=join.matchers, firing=firing
            )
            if found is not None:
                raise BadConfiguration(f"{source}: {found}, {by_hand}")
            return notified_anew(before, after, receiver=receiver, firing=firing)
    except UnreadableRoutes as exc:
        raise BadConfiguration(f"{source}: {exc}, {by_hand}") from exc


def _takes_all(route: Mapping[str, Any]) -> bool:
    return not any(route.get(key) for key in ("match", "match_re", "matchers"))


def _leads_to_relevo(receiver: Mapping[str, Any]) -> bool:
    urls = [str(one.get("url", "")) for one in receiver.get("webhook_configs") or ()]
    return any(urlsplit(url).path.rstrip("/").endswith(WEBHOOK) for url in urls)


def _list(document: Mapping[str, Any], key: str, source: str) -> Sequence[Any]:
    found = document.get(key) or []
    if not isinstance(found, list):
        raise BadConfiguration(f"{source}: {key} must be a list")
    return found
