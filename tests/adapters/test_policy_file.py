"""The policy file: what it says lands where it belongs, what is wrong with it is named."""

import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import timedelta
from importlib import resources
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from app.adapters.policy_file import load_rulebook, parse_rulebook
from app.errors import BadConfiguration
from app.policies.spec import (
    Enable,
    HostPorts,
    Match,
    Mode,
    Policy,
    RestartRules,
    Rulebook,
    Sharing,
    SourceAfterwards,
    Strategy,
)

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


def read(text: str) -> Rulebook:
    return parse_rulebook(text, "policies.yaml")


def faults(text: str) -> list[str]:
    """What is said about a text, a line each, without the file's name."""
    with pytest.raises(BadConfiguration) as caught:
        read(text)
    lines = str(caught.value).splitlines()
    assert all(line.startswith("policies.yaml:") for line in lines), lines
    return [line.removeprefix("policies.yaml:") for line in lines]


# ---------------------------------------------------------------- defaults


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="an-empty-file"),
        pytest.param("# nothing yet\n", id="a-comment"),
        pytest.param("version: 1\n", id="the-version-alone"),
        pytest.param("---\n...\n", id="an-empty-document"),
        pytest.param("\ufeffversion: 1\r\n", id="a-byte-order-mark-and-windows-line-ends"),
        pytest.param("defaults:\nenable:\npolicies:\nguards:\n", id="keys-with-all-commented-out"),
        pytest.param("defaults:\n  restart:\n    window:\n", id="an-empty-value-deep-down"),
    ],
)
def test_silence_means_the_defaults(text: str) -> None:
    assert read(text) == Rulebook()


def test_the_shipped_policy_is_the_defaults() -> None:
    assert load_rulebook(None) == Rulebook()


#: key in the file, what is written, where it lands, as what; never the default.
KEYS = [
    ("defaults.mode", "observe", "defaults.mode", Mode.OBSERVE),
    ("defaults.strategy", "scale_first", "defaults.strategy", Strategy.SCALE_FIRST),
    ("defaults.strategy", "relieve_first", "defaults.strategy", Strategy.RELIEVE_FIRST),
    ("defaults.restart.delays", "[0s, 90s]", "defaults.restart.delays", (0 * SECOND, 90 * SECOND)),
    ("defaults.restart.max_failed", "4", "defaults.restart.max_failed", 4),
    ("defaults.restart.window", "2h", "defaults.restart.window", 2 * HOUR),
    ("defaults.restart.jitter", "25%", "defaults.restart.jitter", 0.25),
    ("defaults.restart.stop_grace", "7s", "defaults.restart.stop_grace", 7 * SECOND),
    ("defaults.restart.start_grace", "20s", "defaults.restart.start_grace", 20 * SECOND),
    ("defaults.verify.deadline", "4m", "defaults.verify.deadline", 4 * MINUTE),
    ("defaults.verify.settle", "6m", "defaults.verify.settle", 6 * MINUTE),
    ("defaults.verify.poll", "500ms", "defaults.verify.poll", SECOND / 2),
    ("defaults.verify.relapse_window", "0", "defaults.verify.relapse_window", 0 * HOUR),
    ("defaults.chronic.restarts", "9", "defaults.chronic.restarts", 9),
    ("defaults.chronic.window", "12h", "defaults.chronic.window", 12 * HOUR),
    ("defaults.scale_out.enabled", "false", "defaults.scale_out.enabled", False),
    ("defaults.scale_out.max_instances", "8", "defaults.scale_out.max_instances", 8),
    ("defaults.scale_out.cooldown", "1m", "defaults.scale_out.cooldown", MINUTE),
    ("defaults.scale_out.warm_up", "0s", "defaults.scale_out.warm_up", 0 * SECOND),
    ("defaults.scale_out.host_ports", "drop", "defaults.scale_out.host_ports", HostPorts.DROP),
    (
        "defaults.scale_out.host_ports",
        "ephemeral",
        "defaults.scale_out.host_ports",
        HostPorts.EPHEMERAL,
    ),
    (
        "defaults.scale_out.shared_volumes",
        "allow",
        "defaults.scale_out.shared_volumes",
        Sharing.ALLOW,
    ),
    (
        "defaults.scale_out.shared_devices",
        "allow",
        "defaults.scale_out.shared_devices",
        Sharing.ALLOW,
    ),
    ("defaults.scale_out.host_network", "allow", "defaults.scale_out.host_network", Sharing.ALLOW),
    ("defaults.scale_out.source", "stop", "defaults.scale_out.source", SourceAfterwards.STOP),
    ("defaults.scale_out.source", "isolate", "defaults.scale_out.source", SourceAfterwards.ISOLATE),
    ("defaults.scale_out.isolate_for", "1h", "defaults.scale_out.isolate_for", HOUR),
    ("defaults.scale_out.traffic_proof", "0s", "defaults.scale_out.traffic_proof", 0 * SECOND),
    ("defaults.scale_in.after", "1h", "defaults.scale_in.after", HOUR),
    ("defaults.scale_in.every", "1m", "defaults.scale_in.every", MINUTE),
    ("defaults.scale_in.drain", "0", "defaults.scale_in.drain", 0 * SECOND),
    ("pull", "5s", "pull", 5 * SECOND),
    ("alert_expiry", "9h", "alert_expiry", 9 * HOUR),
    ("instances", "['a:1', 'b:1']", "instances", ("a:1", "b:1")),
    ("target_labels", "[pod]", "target_labels", ("pod",)),
    ("guards.concurrent", "4", "guards.concurrent", 4),
    ("guards.burst", "1", "guards.burst", 1),
    ("guards.per_hour", "60", "guards.per_hour", 60),
    ("guards.max_clones", "0", "guards.max_clones", 0),
    ("guards.reserve.memory", "0%", "guards.reserve.memory", 0.0),
    ("guards.reserve.cpus", "1", "guards.reserve.cpus", 1.0),
    ("guards.deploy_hold", "0s", "guards.deploy_hold", 0 * SECOND),
    ("guards.protected", "[db, 'postgres:*']", "guards.protected", ("db", "postgres:*")),
    ("guards.brake.targets", "5", "guards.brake.targets", 5),
    ("guards.brake.share", "100%", "guards.brake.share", 1.0),
    ("guards.brake.window", "30m", "guards.brake.window", 30 * MINUTE),
    ("guards.brake.thaw", "0s", "guards.brake.thaw", 0 * SECOND),
    ("guards.brake.action", "alert", "guards.brake.freeze", False),
    (
        "enable",
        "[{project: shop, service: web}]",
        "enable",
        (Enable(project="shop", service="web"),),
    ),
    ("enable", "[{name: 'worker-*'}]", "enable", (Enable(name="worker-*"),)),
]


def nested(key: str, value: str) -> str:
    """Write one key of the file, in block style."""
    *above, last = key.split(".")
    lines = [f"{'  ' * depth}{part}:" for depth, part in enumerate(above)]
    return "\n".join([*lines, f"{'  ' * len(above)}{last}: {value}"]) + "\n"


def changed(book: object, path: str, value: object) -> object:
    """The same values with one of them changed."""
    first, _, rest = path.partition(".")
    return replace(
        book,  # type: ignore[type-var]
        **{first: changed(getattr(book, first), rest, value) if rest else value},
    )


@pytest.mark.parametrize(
    ("key", "written", "place", "expected"),
    [pytest.param(*row, id=f"{row[0]}-{row[1]}") for row in KEYS],
)
def test_a_key_lands_in_its_place_and_nowhere_else(
    key: str, written: str, place: str, expected: object
) -> None:
    book = read(nested(key, written))

    assert attrgetter(place)(book) == expected != attrgetter(place)(Rulebook())
    assert book == changed(Rulebook(), place, expected)


def leaves(value: object, path: str = "") -> Iterator[str]:
    """The paths of all values in a rulebook."""
    for field in fields(value) if is_dataclass(value) else ():
        inner = getattr(value, field.name)
        here = f"{path}{field.name}"
        if is_dataclass(inner):
            yield from leaves(inner, f"{here}.")
        else:
            yield here


def test_every_value_of_a_rulebook_has_a_key_in_the_table() -> None:
    without_key = {"defaults.name", "policies"}  # policies have tests of their own

    assert set(leaves(Rulebook())) - {place for _, _, place, _ in KEYS} == without_key


# ---------------------------------------------------------------- policies

POLICIES = """\
version: 1
defaults:
  mode: observe
  restart: {max_failed: 2, window: 2h, stop_grace: 30s}
policies:
  - name: web
    match: {labels: {com.docker.compose.service: web}, alerts: [ContainerHighCPU]}
    strategy: scale_first
    mode: enforce
    restart: {delays: [1s], stop_grace: container}
  - name: rest
"""


def test_what_a_policy_leaves_out_comes_from_the_defaults() -> None:
    (match, web), (anything, rest) = read(POLICIES).policies

    assert match == Match(
        labels={"com.docker.compose.service": "web"}, alerts=("ContainerHighCPU",)
    )
    assert web == Policy(
        name="web",
        mode=Mode.ENFORCE,
        strategy=Strategy.SCALE_FIRST,
        restart=RestartRules(delays=(SECOND,), max_failed=2, window=2 * HOUR, stop_grace=None),
    )
    assert anything == Match()
    assert rest == replace(read(POLICIES).defaults, name="rest")


def test_an_anchor_may_be_used_again() -> None:
    book = read(
        "policies:\n- name: a\n  restart: &calm {max_failed: 4}\n"
        "- name: b\n  restart: *calm\n- name: c\n  restart:\n    <<: *calm\n    window: 2h\n"
    )

    assert [policy.restart.max_failed for _, policy in book.policies] == [4, 4, 4]
    assert book.policies[2][1].restart.window == 2 * HOUR


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(
            "defaults:\n  restart:\n    max_faild: 3\n",
            "3:5: defaults.restart.max_faild: there is no such key",
            id="unknown-key",
        ),
        pytest.param(
            "pull: 30s\nnope:\n", "2:1: nope: there is no such key", id="unknown-and-empty"
        ),
        pytest.param("pull: 30s\n1: x\n", "2:1: 1: there is no such key", id="a-number-for-a-key"),
        pytest.param(
            "x: &r {max_failed: 2}\n", "1:1: x: there is no such key", id="a-place-for-anchors"
        ),
        pytest.param(
            "pull: 30s\nalert_expiry: 8h\npull: 20s\n",
            "3:1: the key 'pull' is written twice",
            id="duplicate-key",
        ),
        pytest.param(
            "defaults:\n  verify:\n    poll: 1s\n    poll: 1s\n",
            "4:5: the key 'poll' is written twice",
            id="duplicate-key-deep-down",
        ),
        pytest.param(
            "pull: 30\n",
            "1:1: pull: 30 is not a duration: write it like 90s, 5m or 1h30m",
            id="no-unit",
        ),
        pytest.param(
            "pull: 30sec\n",
            "1:1: pull: '30sec' is not a duration: write it like 90s, 5m or 1h30m",
            id="wrong-unit",
        ),
        pytest.param(
            "pull: true\n", "1:1: pull: True is not a duration: ", id="a-switch-for-a-time"
        ),
        pytest.param("pull: 0s\n", "1:1: pull: must be longer than 0s", id="too-short"),
        pytest.param("pull: 367d\n", "1:1: pull: '367d' is longer than a year", id="too-long"),
        pytest.param(
            "defaults:\n  restart:\n    delays:\n    - 1m\n    - soon\n",
            "5:7: defaults.restart.delays.1: 'soon' is not a duration: ",
            id="in-a-list",
        ),
        pytest.param(
            "defaults: {restart: {delays: []}}\n",
            "1:22: defaults.restart.delays: must not be empty",
            id="an-empty-list",
        ),
        pytest.param(
            "defaults: {restart: {delays: 1m}}\n",
            "1:22: defaults.restart.delays: must be a list",
            id="no-list",
        ),
        pytest.param(
            "defaults:\n  restart: {stop_grace: soon}\n",
            "2:13: defaults.restart.stop_grace: 'soon' is not a duration: write it like 90s, 5m or "
            "1h30m; or write container, for the container's own",
            id="neither-a-time-nor-the-containers-own",
        ),
        pytest.param(
            "defaults:\n  mode: dry\n",
            "2:3: defaults.mode: must be enforce or observe",
            id="wrong-word",
        ),
        pytest.param(
            "guards:\n  brake: {action: stop}\n",
            "2:11: guards.brake.action: must be freeze or alert",
            id="wrong-word-of-the-brake",
        ),
        pytest.param(
            "defaults: {restart: {jitter: 26%}}\n",
            "1:22: defaults.restart.jitter: must be 25% at most",
            id="too-much-jitter",
        ),
        pytest.param(
            "guards: {brake: {share: 0.25}}\n",
            "1:18: guards.brake.share: 0.25 is not a share: write it like 25%",
            id="a-share-without-its-sign",
        ),
        pytest.param(
            "guards: {brake: {share: nan%}}\n",
            "1:18: guards.brake.share: ",
            id="a-share-of-nothing",
        ),
        pytest.param("guards: {burst: 0}\n", "1:10: guards.burst: ", id="no-action-at-all"),
        pytest.param(
            "guards: {burst: true}\n",
            "1:10: guards.burst: must be a whole number",
            id="a-switch-for-a-number",
        ),
        pytest.param(
            "guards: {burst: 2.5}\n", "1:10: guards.burst: must be a whole number", id="a-fraction"
        ),
        pytest.param(
            "guards: {reserve: {cpus: .inf}}\n",
            "1:20: guards.reserve.cpus: must be a number",
            id="endless-reserve",
        ),
        pytest.param("version: 2\n", "1:1: version: must be 1", id="another-version"),
        pytest.param(
            "version: true\n", "1:1: version: True is not a version: write 1", id="a-switch-version"
        ),
        pytest.param("version: &v true\n", "1:1: version: True is not", id="a-named-switch"),
        pytest.param(
            "version: 1.0\n", "1:1: version: 1.0 is not a version", id="a-fraction-of-one"
        ),
        pytest.param("version: '1'\n", "1:1: version: '1' is not a version", id="a-text-for-one"),
        pytest.param(
            "guards: {burst: &x true}\n",
            "1:10: guards.burst: must be a whole number",
            id="a-named-switch-for-a-number",
        ),
        pytest.param("defaults: []\n", "1:1: defaults: must be a mapping of keys", id="a-list"),
        pytest.param("enable:\n- web\n", "2:3: enable.0: must be a mapping of keys", id="a-word"),
        pytest.param(
            "enable:\n- name: web\n- {}\n",
            "3:3: enable.1: name a project, a service or a name",
            id="an-entry-that-names-nobody",
        ),
        pytest.param(
            "enable:\n- name:\n",
            "2:3: enable.0: name a project, a service or a name",
            id="an-entry-without-its-name",
        ),
        pytest.param(
            "policies:\n- mode: observe\n", "2:3: policies.0.name: must be written", id="no-name"
        ),
        pytest.param(
            "policies:\n- name: ''\n", "2:3: policies.0.name: must not be empty", id="an-empty-name"
        ),
        pytest.param(
            "policies:\n- name: a\n- name: a\n",
            "3:3: policies.1.name: the name 'a' is taken; names tell policies apart",
            id="a-name-twice",
        ),
        pytest.param(
            "policies:\n- name: default\n",
            "2:3: policies.0.name: the name 'default' is taken; names tell policies apart",
            id="the-name-of-the-defaults",
        ),
        pytest.param(
            "policies:\n- name: a\n  match: {alert: [x]}\n",
            "3:11: policies.0.match.alert: there is no such key",
            id="a-match-that-would-match-everything",
        ),
        pytest.param(
            "policies:\n- name: a\n  match: {labels: {tier: 1}}\n",
            "3:20: policies.0.match.labels.tier: must be text: write it in quotes",
            id="a-label-that-is-a-number",
        ),
        pytest.param("defaults:\n\tmode: observe\n", "2:1: is not YAML: ", id="a-tab"),
        pytest.param("pull: [\n", "2:1: is not YAML: ", id="a-bracket-left-open"),
        pytest.param("pull: 'x\n", "2:1: is not YAML: ", id="a-quote-left-open"),
        pytest.param(
            "pull: *gone\n", "1:7: is not YAML: found undefined alias", id="no-such-anchor"
        ),
        pytest.param("pull: 1s\nx: \x07\n", "2:4: is not YAML: holds a control", id="control-sign"),
        pytest.param("guards: !!set\n", "1:1: is not YAML that makes sense", id="a-set-of-nothing"),
        pytest.param(
            "pull: !!int\n", "1:1: is not YAML that makes sense", id="a-number-of-nothing"
        ),
        pytest.param("? : : ~\n", "1:1: is not YAML that makes sense", id="a-mapping-for-a-key"),
        pytest.param("version: 1\n---\nversion: 1\n", "2:1: is not YAML: ", id="two-documents"),
        pytest.param("- a\n", "1:1: must be a mapping that begins with 'version: 1'", id="list"),
        pytest.param("hello\n", "1:1: must be a mapping that begins with", id="a-word-alone"),
        pytest.param("pull: 1" + "0" * 5000, "1:1: is not YAML: ", id="a-number-beyond-all"),
        pytest.param("{a: " * 500 + "1" + "}" * 500, "1:1: is not YAML: is nested", id="depth"),
    ],
)
def test_a_fault_is_named_with_its_place(text: str, said: str) -> None:
    (fault,) = faults(text)

    assert fault.startswith(said)


#: Nothing that belongs where a duration, a number, a word or a list does.
ODD: Final[tuple[Any, ...]] = (
    *("", "x", "-1", "x" * 300, True, -1, 0, 10**30, 1.5, -0.5, 1e300, math.inf, math.nan),
    *([], [[]], ["x"] * 30, {}, {"x": 1}, {"1": []}, [{"name": 1}], [{}], [None]),
)


def paths(tree: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in tree.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from paths(value, (*above, key))


SHIPPED: Final = YAML(typ="safe").load(
    resources.files("app.policies").joinpath("default.yaml").read_text(encoding="utf-8")
)


@pytest.mark.parametrize("path", [*paths(SHIPPED)], ids=".".join)
def test_no_fault_speaks_of_anything_but_the_file(path: tuple[str, ...]) -> None:
    for value in ODD:
        tree: Any = value
        for key in reversed(path):
            tree = {key: tree}
        text = json.dumps(tree).replace("Infinity", ".inf").replace("NaN", ".nan")
        for fault in faults_of(text):
            assert not re.search(r"[Ii]nput|should|[Vv]alue error|pydantic|type=|valid", fault), (
                fault
            )
            assert len(fault) < 300, fault


def faults_of(text: str) -> list[str]:
    try:
        parse_rulebook(text, "file")
    except BadConfiguration as exc:
        return str(exc).splitlines()
    return []


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 500_000,
        "{a: " * 200_000,
        "- " * 100_000,
        "".join(" " * n + "a:\n" for n in range(120)),
    ],
    ids=["brackets", "braces", "dashes", "lines"],
)
def test_what_is_nested_too_deeply_is_found_at_once(text: str) -> None:
    since = time.process_time()

    assert faults(text) == ["1:1: is not YAML: is nested too deeply"]
    assert time.process_time() - since < 2


def test_a_long_piece_of_the_file_is_not_repeated() -> None:
    (key,) = faults("x" * 5000 + ": 1\n")
    (span,) = faults("pull: " + "9" * 4000 + "h\n")
    (name,) = faults(f"policies:\n- name: {'n' * 200}\n- name: {'n' * 200}\n")
    (alias,) = faults(f"pull: *{'a' * 5000}\n")
    (share,) = faults(f"guards: {{reserve: {{memory: '{'9' * 5000}'}}}}\n")

    assert all(len(fault) < 200 for fault in (key, span, name, alias, share))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param("guards: &a {brake: *a}\n", "1:20", id="in-a-mapping"),
        pytest.param("enable: &a [*a, *a]\n", "1:13", id="in-a-list"),
        pytest.param("guards: &a {brake: {action: *a}}\n", "1:29", id="deep-down"),
        pytest.param("guards: &a\n  burst: 2\n  <<: *a\n", "3:7", id="merged-into-itself"),
        pytest.param("&a\nguards: *a\n", "2:9", id="the-whole-file"),
        pytest.param("policies: &p\n- name: a\n  match: {alerts: *p}\n", "3:19", id="above"),
    ],
)
def test_an_alias_of_what_it_is_part_of_is_refused(text: str, place: str) -> None:
    assert faults(text) == [f"{place}: this alias stands for what it is part of"]


def test_a_name_that_is_given_again_within_means_the_new_one() -> None:
    text = "guards: &a {concurrent: &a 4, burst: *a}\n"

    assert read(text).guards == replace(Rulebook().guards, concurrent=4, burst=4)


def test_a_key_that_a_merge_brought_in_is_placed_where_it_went() -> None:
    text = "guards: {brake: &b {targets: 2}, reserve: {<<: *b}}\n"

    assert faults(text) == ["1:34: guards.reserve.targets: there is no such key"]


# ---------------------------------------------------------------- reachable

#: What is said of each policy that cannot be reached, after its place.
NEVER = (
    "its scale-out can never fire: three failed restarts span up to 60m + 14m = 74m, and the "
    "window is 60m: lengthen window to more than 74m, or shorten delays"
)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        pytest.param(
            "policies:\n- name: a\n  restart: {delays: [1m, 20m, 40m]}\n",
            "3:13: policies.0.restart.delays",
            id="at-its-delays",
        ),
        pytest.param(
            "defaults:\n  restart:\n    window: 1h\n    delays: [1m, 20m, 40m]\n",
            "4:5: defaults.restart.delays",
            id="in-the-defaults",
        ),
        pytest.param(
            "defaults: {restart: {delays: [1m, 20m, 40m], window: 2h}}\n"
            "policies:\n- name: a\n- name: b\n  restart: {window: 60m}\n",
            "5:13: policies.1.restart.window",
            id="at-its-window",
        ),
        pytest.param(
            "defaults: {restart: {delays: [1m, 20m, 40m]}, strategy: scale_first}\n"
            "policies:\n- name: a\n  strategy: relieve_first\n",
            "3:3: policies.0",
            id="at-itself",
        ),
        pytest.param(
            "defaults: {restart: {delays: [1m, 20m, 40m]}}\npolicies:\n- name: a\n- name: b\n",
            "1:22: defaults.restart.delays",
            id="once-for-all-that-inherit-it",
        ),
    ],
)
def test_a_policy_that_can_never_scale_out_is_refused(text: str, place: str) -> None:
    assert faults(text) == [f"{place}: {NEVER}"]


@pytest.mark.parametrize(
    ("rules", "place", "sum_"),
    [
        ("restart: {max_failed: 5}", "2:13: defaults.restart.max_failed", "35m + 28m = 63m"),
        ("restart: {window: 29m}", "2:13: defaults.restart.window", "15m + 14m = 29m"),
        ("verify: {deadline: 20m}", "2:12: defaults.verify.deadline", "15m + 48m = 63m"),
        (
            "restart: {jitter: 25%, window: 32m}",
            "2:26: defaults.restart.window",
            "15m + 3m45s + 14m = 32m45s",
        ),
    ],
)
def test_every_term_of_the_span_counts(rules: str, place: str, sum_: str) -> None:
    (fault,) = faults(f"defaults:\n  {rules}\n")

    assert fault.startswith(f"{place}: its scale-out may never fire: ")
    assert sum_ in fault


@pytest.mark.parametrize(
    "more",
    ["strategy: scale_first", "scale_out: {enabled: false}", "restart: {window: 74m1s}"],
)
def test_a_policy_that_gets_there_or_need_not_is_read(more: str) -> None:
    text = "defaults: {restart: {delays: [1m, 20m, 40m], window: 2h}}\npolicies:\n- name: a\n"

    assert read(f"{text}  {more}\n").policies[0][1].restart.delays[2] == 40 * MINUTE


def test_several_faults_are_named_in_the_order_of_the_file() -> None:
    text = (
        "version: 2\npull: 30\nnope: 1\nguards: {burst: x, per_hour: 0}\ndefaults:\n  mode: dry\n"
    )

    assert [fault.split(": ")[:2] for fault in faults(text)] == [
        ["1:1", "version"],
        ["2:1", "pull"],
        ["3:1", "nope"],
        ["4:10", "guards.burst"],
        ["4:20", "guards.per_hour"],
        ["6:3", "defaults.mode"],
    ]


def test_several_contradictions_are_named_together() -> None:
    text = "policies:\n- name: a\n- name: a\n- name: default\nenable:\n- {}\n"

    assert [fault.split(": ")[0] for fault in faults(text)] == ["3:3", "4:3", "6:3"]


# ---------------------------------------------------------------- hostile and huge


def laughs(levels: int, width: int, item: str = "x") -> str:
    """Aliases of aliases: `width` to the power of `levels` values."""
    lines = [f"a0: &a0 [{', '.join([item] * width)}]"]
    lines += [
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]"
        for level in range(1, levels)
    ]
    return "\n".join(lines) + "\n"


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(laughs(9, 9), id="lists-of-lists"),
        pytest.param(laughs(40, 2), id="doubled-forty-times"),
        pytest.param(
            laughs(12, 6).replace("[", "{<<: [").replace("]", "]}").replace("x, ", ""),
            id="merges-of-merges",
        ),
        pytest.param(laughs(3000, 1), id="a-chain-of-three-thousand"),
    ],
)
def test_an_alias_bomb_is_refused_and_never_unfolded(text: str) -> None:
    assert faults(text)


def test_nothing_in_a_file_is_run() -> None:
    assert faults("pull: !!python/object/apply:os.system ['exit 1']\n")
    assert faults("pull: !!python/name:os.system\n")


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    try:
        read(text)
    except BadConfiguration as exc:
        for line in str(exc).split("\npolicies.yaml:"):
            assert line.removeprefix("policies.yaml:")[0].isdigit()


# ---------------------------------------------------------------- files


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "policies.yaml"
    path.write_text("pull: 7s\n", encoding="utf-8")

    assert load_rulebook(path).pull == 7 * SECOND


@pytest.mark.parametrize(
    ("held", "said"),
    [
        pytest.param(b"pull: 30s\nx: \xff\n", ":2:1: is not UTF-8 text", id="not-utf-8"),
        pytest.param("pull: 1s\n".encode("utf-16"), ":1:1: is not UTF-8 text", id="utf-16"),
        pytest.param(b"#" * (1024 * 1024 + 1), ": is larger than 1048576 bytes", id="too-large"),
        pytest.param(b"nope: 1\n", ":1:1: nope: there is no such key", id="a-fault"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, held: bytes, said: str) -> None:
    path = tmp_path / "policies.yaml"
    path.write_bytes(held)

    with pytest.raises(BadConfiguration) as caught:
        load_rulebook(path)

    assert str(caught.value) == f"{path}{said}"


def test_a_file_of_exactly_the_largest_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "policies.yaml"
    path.write_bytes(b"#" * (1024 * 1024))

    assert load_rulebook(path) == Rulebook()


@pytest.mark.parametrize(
    ("name", "why"), [("gone.yaml", "No such file or directory"), ("", "Is a directory")]
)
def test_a_file_that_is_not_there_is_named(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(BadConfiguration, match=f"cannot be read: {why}"):
        load_rulebook(tmp_path / name)
