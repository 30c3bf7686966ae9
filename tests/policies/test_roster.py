"""Who is on an engine, and whom an alert is about."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.container import Listed
from app.domain.decision import Reason
from app.domain.target import GroupId, TargetId
from app.policies.membership import OptIn, is_looked_after
from app.policies.roster import Found, NotOurs, Roster, whose
from app.policies.spec import Enable, Mode
from tests.builders import ENGINE, compose, listed

LABELS = ("name", "container_name", "container")
OPTED_IN = {"relevo.enable": "true"}
SWARM = {
    "relevo.enable": "true",
    "com.docker.swarm.service.name": "shop_web",
    "com.docker.swarm.task.name": "shop_web.2.k3j9x",
}


def roster(*listing: Listed, enable: tuple[Enable, ...] = (), prefix: str = "relevo") -> Roster:
    return Roster(ENGINE, listing, prefix=prefix, enable=enable)


def alone(labels: Mapping[str, str], name: str = "web") -> Roster:
    return roster(listed(name, labels=labels))


def clone(name: str, of: str, number: int = 50, **labels: str) -> Listed:
    marks = {"relevo.clone-of": of, "relevo.attempt": f"{of}-1.1"}
    return listed(name, number, labels={**marks, **labels})


@pytest.mark.parametrize(
    ("name", "labels", "slot", "group"),
    [
        pytest.param("web", {}, "web", "web", id="a-plain-container-is-its-name"),
        pytest.param(
            "renamed", compose("shop", "web", 2), "shop-web-2", "shop/web", id="compose-by-labels"
        ),
        pytest.param(
            "mine",
            {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"},
            "mine",
            "shop/web",
            id="compose-without-a-number-is-its-name",
        ),
        pytest.param(
            "shop-web-run-1f",
            {**compose("shop", "web", 1), "com.docker.compose.oneoff": "True"},
            "shop-web-run-1f",
            "shop-web-run-1f",
            id="a-one-off-run-is-no-instance-of-its-service",
        ),
        pytest.param("shop_web.2.k3j9x", SWARM, "shop_web.2", "shop_web", id="a-swarm-task"),
        pytest.param(
            "task",
            {**SWARM, "com.docker.swarm.task.name": "odd"},
            "task",
            "shop_web",
            id="odd-task",
        ),
        pytest.param(
            "web",
            {**compose("shop", "web", 1), "relevo.workload": "front"},
            "shop-web-1",
            "front",
            id="a-workload-label-names-the-group",
        ),
        pytest.param(
            "web", compose("sh op", "web", 1), "web", "sh op/web", id="an-unsafe-project-is-no-slot"
        ),
        pytest.param("web_new", {"relevo.clone-of": "web"}, "web_new", "web", id="a-plain-clone"),
        pytest.param(
            "shop-web-3",
            {**compose("shop", "web", 3), "relevo.clone-of": "shop-web-1"},
            "shop-web-3",
            "shop/web",
            id="a-compose-clone",
        ),
    ],
)
def test_a_container_has_a_slot_and_a_group(
    name: str, labels: dict[str, str], slot: str, group: str
) -> None:
    (member,) = alone(labels, name).members

    assert member.target == TargetId(ENGINE, slot)
    assert member.group == GroupId(ENGINE, group)


SHOP = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}


@pytest.mark.parametrize(
    ("labels", "enable", "expected"),
    [
        pytest.param({}, (), OptIn.NO, id="silence-is-no"),
        pytest.param({"relevo.enable": "true"}, (), OptIn.ENFORCE, id="true"),
        pytest.param({"relevo.enable": " TRUE "}, (), OptIn.ENFORCE, id="true-in-capitals"),
        pytest.param({"relevo.enable": "observe"}, (), OptIn.OBSERVE, id="observe"),
        pytest.param({"relevo.enable": "false"}, (), OptIn.NO, id="false"),
        pytest.param({"relevo.enable": "yes"}, (), OptIn.NO, id="a-word-nobody-knows-is-no"),
        pytest.param({"relevo.enable": "1"}, (), OptIn.NO, id="a-number-is-no"),
        pytest.param({}, (Enable(name="web"),), OptIn.ENFORCE, id="the-file-names-it"),
        pytest.param({}, (Enable(name="we*"),), OptIn.ENFORCE, id="by-a-pattern"),
        pytest.param({}, (Enable(name="WE*"),), OptIn.NO, id="patterns-have-their-case"),
        pytest.param({}, (Enable(name="w"),), OptIn.NO, id="half-a-name-is-no-name"),
        pytest.param({}, (Enable(),), OptIn.NO, id="an-empty-entry-names-nobody"),
        pytest.param({}, (Enable(project="*"),), OptIn.NO, id="without-compose-no-project"),
        pytest.param(SHOP, (Enable(project="shop"),), OptIn.ENFORCE, id="a-whole-project"),
        pytest.param(
            SHOP, (Enable(project="shop", service="web"),), OptIn.ENFORCE, id="one-service"
        ),
        pytest.param(
            SHOP, (Enable(project="shop", service="db"),), OptIn.NO, id="every-part-must-fit"
        ),
        pytest.param(
            SHOP, (Enable(name="x"), Enable(service="web")), OptIn.ENFORCE, id="any-entry"
        ),
        pytest.param(
            {"relevo.enable": "false"}, (Enable(name="*"),), OptIn.NO, id="its-label-beats-the-file"
        ),
        pytest.param(
            {"relevo.enable": "observe"}, (Enable(name="*"),), OptIn.OBSERVE, id="observe-beats-it"
        ),
        pytest.param(
            {"relevo.enable": ""}, (Enable(name="*"),), OptIn.ENFORCE, id="an-empty-label-is-none"
        ),
    ],
)
def test_opting_in(labels: dict[str, str], enable: tuple[Enable, ...], expected: OptIn) -> None:
    (member,) = roster(listed(labels=labels), enable=enable).members

    assert member.opt_in is expected
    assert (member.mode is Mode.OBSERVE) is (expected is OptIn.OBSERVE)


def test_the_prefix_of_labels_is_configurable() -> None:
    (member,) = roster(listed(labels={"heal.enable": "true"}), prefix="heal").members

    assert member.opt_in is OptIn.ENFORCE


def test_targets_are_the_opted_in_originals_by_name() -> None:
    found = roster(
        listed("web", 1), listed("api", 2), listed("db", 3, labels={}), clone("web_new", "web")
    ).targets()

    assert [str(member.target) for member in found] == ["host1:api", "host1:web"]


def test_a_group_holds_originals_and_clones() -> None:
    one = roster(listed("web", 1), clone("web_new", "web"), listed("db", 2))

    assert [m.listed.name for m in one.group(GroupId(ENGINE, "web"))] == ["web", "web_new"]
    assert one.group(GroupId(ENGINE, "nobody")) == ()


def test_a_slot_of_another_engine_is_nobodys() -> None:
    assert roster(listed()).at(TargetId("host2", "web")) == ()


def test_a_clone_is_found_by_the_attempt_that_made_it() -> None:
    one = roster(listed("web"), clone("web_new", "web"))

    made = one.made_by("web-1.1", "relevo")
    assert made is not None
    assert made.listed.name == "web_new"
    assert one.made_by("web-1.2", "relevo") is None


#: Everybody that the table below speaks of.
HOUSE = roster(
    listed("web", 1),
    listed("shy", 2, labels={}),
    listed("shop-api-1", 3, labels=compose("shop", "api", 1)),
    listed("odd", 4, labels=compose("shop", "one", 1)),
    listed("shop-two-1", 5, labels=compose("shop", "two", 1)),
    listed("shop-two-2", 6, labels=compose("shop", "two", 2)),
    listed("task", 7, labels=SWARM),
    clone("web_new", "web", 8),
    clone("web_new_new", "web_new", 9),
    clone("orphan_new", "gone", 10),
    listed("deploy-1", 11, labels=compose("shop", "deploy", 1)),
    listed("deploy-2", 12, labels=compose("shop", "deploy", 1)),
    listed(
        "shop-api-run-9",
        13,
        labels={**compose("shop", "api", 1), "com.docker.compose.oneoff": "True"},
    ),
    clone("shop-api-2", "shop-api-1", 14, **compose("shop", "api", 2)),
)


@pytest.mark.parametrize(
    ("labels", "name", "root"),
    [
        pytest.param({"name": "web"}, "web", "web", id="by-name"),
        pytest.param({"container_name": "web"}, "web", "web", id="by-the-second-label"),
        pytest.param({"container": "web"}, "web", "web", id="by-the-third-label"),
        pytest.param({"name": "", "container": "web"}, "web", "web", id="an-empty-label-is-none"),
        pytest.param({"name": "web", "container": "shy"}, "web", "web", id="the-first-one-decides"),
        pytest.param({"name": "shop-one-1"}, "odd", "odd", id="by-slot"),
        pytest.param({"name": "web_new"}, "web_new", "web", id="a-clone-is-its-sources-need"),
        pytest.param({"name": "shop-api-2"}, "shop-api-2", "shop-api-1", id="a-compose-clone-too"),
        pytest.param(
            {"com_docker_compose_project": "shop", "com_docker_compose_service": "api"},
            "shop-api-1",
            "shop-api-1",
            id="by-compose-labels-past-its-clone-and-one-off-run",
        ),
        pytest.param(
            {
                "container_label_com_docker_compose_project": "shop",
                "container_label_com_docker_compose_service": "one",
            },
            "odd",
            "odd",
            id="by-cadvisors-spelling",
        ),
    ],
)
def test_an_alert_finds_its_target(labels: dict[str, str], name: str, root: str) -> None:
    found = HOUSE.resolve(labels, target_labels=LABELS)

    assert isinstance(found, Found)
    assert (found.member.listed.name, found.root.listed.name) == (name, root)
    assert found.on_source is (name == root)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        pytest.param({}, Reason.NO_SUCH_TARGET, id="no-label-at-all"),
        pytest.param({"name": "nobody"}, Reason.NO_SUCH_TARGET, id="nobody-is-called-so"),
        pytest.param({"name": "we"}, Reason.NO_SUCH_TARGET, id="no-prefix-match"),
        pytest.param({"name": "WEB"}, Reason.NO_SUCH_TARGET, id="names-have-their-case"),
        pytest.param({"name": "/web"}, Reason.NO_SUCH_TARGET, id="a-slash-is-another-name"),
        pytest.param({"name": f"{1:064x}"}, Reason.NO_SUCH_TARGET, id="an-id-is-no-name"),
        pytest.param({"name": "*"}, Reason.NO_SUCH_TARGET, id="a-pattern-is-no-name"),
        pytest.param(
            {"name": "nobody", "container": "web"},
            Reason.NO_SUCH_TARGET,
            id="the-first-label-decides-although-a-later-one-would-fit",
        ),
        pytest.param(
            {"com_docker_compose_project": "shop"}, Reason.NO_SUCH_TARGET, id="half-of-compose"
        ),
        pytest.param(
            {"com_docker_compose_project": "shop", "com_docker_compose_service": "three"},
            Reason.NO_SUCH_TARGET,
            id="no-such-service",
        ),
        pytest.param(
            {"com_docker_compose_project": "shop", "com_docker_compose_service": "two"},
            Reason.AMBIGUOUS_TARGET,
            id="a-service-of-two",
        ),
        pytest.param({"name": "shop-deploy-1"}, Reason.AMBIGUOUS_TARGET, id="two-claim-the-slot"),
        pytest.param(
            {"name": "deploy-2"}, Reason.AMBIGUOUS_TARGET, id="two-claim-it-though-one-is-named"
        ),
        pytest.param({"name": "shy"}, Reason.NOT_OPTED_IN, id="not-opted-in"),
        pytest.param({"name": "task"}, Reason.SWARM_TASK, id="a-swarm-task"),
        pytest.param({"name": "orphan_new"}, Reason.NO_SUCH_TARGET, id="a-clone-without-source"),
        pytest.param(
            {"name": "web_new_new"}, Reason.NO_SUCH_TARGET, id="a-clone-of-a-clone-of-ours"
        ),
    ],
)
def test_an_alert_is_not_ours(labels: dict[str, str], reason: Reason) -> None:
    found = HOUSE.resolve(labels, target_labels=LABELS)

    assert isinstance(found, NotOurs)
    assert found.reason is reason
    assert found.detail


def test_a_clone_whose_source_was_replaced_belongs_to_the_original_of_its_group() -> None:
    new = compose("shop", "api", 1)
    one = roster(
        listed("renamed", 1, labels=new),
        clone("shop-api-2", "shop-api-1", 2, **compose("shop", "api", 2)),
    )

    found = one.resolve({"name": "shop-api-2"}, target_labels=LABELS)

    assert isinstance(found, Found)
    assert found.root.listed.name == "renamed"


def test_the_labels_that_name_a_container_are_configurable() -> None:
    assert isinstance(HOUSE.resolve({"pod": "web"}, target_labels=("pod",)), Found)
    assert isinstance(HOUSE.resolve({"name": "web"}, target_labels=("pod",)), NotOurs)


@given(value=st.text(max_size=20))
def test_a_label_is_compared_and_nothing_else(value: str) -> None:
    found = HOUSE.resolve({"name": value}, target_labels=LABELS)

    names = {m.listed.name for m in HOUSE.members} | {m.target.slot for m in HOUSE.members}
    assert value in names or isinstance(found, NotOurs)


@pytest.mark.parametrize(
    ("labels", "instances", "reason"),
    [
        pytest.param({"engine": "host1"}, (), None, id="ours-by-name"),
        pytest.param({"engine": "host1", "instance": "x"}, ("y",), None, id="the-engine-decides"),
        pytest.param({"engine": "host2"}, (), Reason.OTHER_ENGINE, id="another-engine"),
        pytest.param({"engine": "HOST1"}, (), Reason.OTHER_ENGINE, id="names-have-their-case"),
        pytest.param({}, (), None, id="no-engine-and-any-instance-is-ours"),
        pytest.param({"instance": "a:1"}, ("a:1", "b:1"), None, id="an-instance-of-ours"),
        pytest.param({"instance": "c:1"}, ("a:1",), Reason.AMBIGUOUS_ENGINE, id="not-of-ours"),
        pytest.param({}, ("a:1",), Reason.AMBIGUOUS_ENGINE, id="neither-engine-nor-instance"),
        pytest.param(
            {"engine": "", "instance": "a:1"}, ("a:1",), None, id="an-empty-engine-is-none"
        ),
    ],
)
def test_whose_an_alert_is(
    labels: dict[str, str], instances: tuple[str, ...], reason: Reason | None
) -> None:
    found = whose(labels, engine="host1", instances=instances)

    assert (found.reason if found is not None else None) is reason


def test_the_same_listing_in_another_order_finds_the_same() -> None:
    turned = roster(*(replace(m.listed) for m in reversed(HOUSE.members)))

    assert [m.target for m in turned.targets()] == [m.target for m in HOUSE.targets()]


def test_a_strangers_name_of_any_length_hurts_nobody() -> None:
    """Docker takes names of three hundred characters, and whoever gave one need not know us."""
    stranger = listed("x" * 300, 2, labels={})

    roster = Roster("host1", [listed(), stranger], prefix="relevo")

    assert [str(member.target) for member in roster.targets()] == ["host1:web"]
    found = roster.resolve({"name": "web"}, target_labels=("name",))
    assert isinstance(found, Found)


TASK = {"com.docker.swarm.service.name": "shop", "com.docker.swarm.service.id": "s1"}


@pytest.mark.parametrize(
    ("labels", "enable", "expected"),
    [
        pytest.param({}, (), False, id="nobody-names-it"),
        pytest.param({"relevo.enable": "true"}, (), True, id="its-label"),
        pytest.param({"relevo.enable": "observe"}, (), True, id="observed-has-stories-too"),
        pytest.param({}, (Enable(name="we*"),), True, id="the-file-names-it"),
        pytest.param({"relevo.enable": "false"}, (Enable(name="*"),), False, id="not-by-its-label"),
        pytest.param({"relevo.clone-of": "api"}, (), True, id="a-clone"),
        # Without the file only what a label says is known.
        pytest.param({}, None, None, id="the-file-is-unknown"),
        pytest.param({"relevo.enable": "true"}, None, True, id="its-label-without-the-file"),
        pytest.param({"relevo.enable": "no"}, None, False, id="not-by-its-label-without-the-file"),
        pytest.param({"relevo.enable": " "}, None, None, id="an-empty-label-without-the-file"),
        # Its service may say so, in labels that no container shows.
        pytest.param(TASK, (), None, id="a-task-of-swarm"),
        pytest.param({**TASK, "relevo.enable": "false"}, (), None, id="a-task-of-swarm-says-no"),
        pytest.param({**TASK, "relevo.enable": "true"}, (), True, id="a-task-of-swarm-says-yes"),
    ],
)
def test_who_is_looked_after_by_what_the_engine_lists(
    labels: dict[str, str], enable: tuple[Enable, ...] | None, expected: bool | None
) -> None:
    assert is_looked_after(listed(labels=labels), prefix="relevo", enable=enable) is expected
