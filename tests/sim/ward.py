"""How ill the containers are, and what cures them."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from app.domain.container import Container, RunState
from tests.builders import ENGINE, compose, container
from tests.sim.daemon import Daemon
from tests.sim.loop import VirtualLoop
from tests.sim.trace import Trace

#: The rule bridges a missed scrape and averages: it is this much behind.
_LAG = 20.0


@dataclass(slots=True)
class Patient:
    """One container slot, by the name of its container."""

    name: str
    sick: bool = False
    #: Chance that a restart cures it this time; 0: only time, or another instance, helps.
    restart_cures: float = 0.0
    relief_cures: bool = False
    relapses: bool = False
    changed_at: float = -1000.0
    #: Number of its illness: timers of an earlier one do nothing.
    illness: int = 0
    #: Of a clone: its container. The next one of its name is another patient.
    container_id: str = ""


class Ward:
    """All patients; begins illnesses when it is told to."""

    def __init__(self, loop: VirtualLoop, daemon: Daemon, random: Random, trace: Trace) -> None:
        self._loop = loop
        self._daemon = daemon
        self._random = random
        self._trace = trace
        self.patients: dict[str, Patient] = {}
        #: Nobody falls ill any more.
        self.is_closed = False
        daemon.on_started = self.started

    def admit(self, one: Container) -> None:
        """Have a container on the engine that may fall ill."""
        self._daemon.put(one)
        self.patients[one.name] = Patient(name=one.name)

    def running(self, name: str) -> bool:
        """Whether it runs."""
        one = self._daemon.named(name)
        return one is not None and one.state is RunState.RUNNING

    def all_running(self) -> set[str]:
        """Names of all that run."""
        states: dict[str, RunState] = {}
        for one in self._daemon.inside.values():
            states.setdefault(one.name, one.state)
        return {name for name, state in states.items() if state is RunState.RUNNING}

    def symptom(self, name: str) -> bool:
        """What its rule evaluates to: nothing, for one that does not run."""
        return self._is_felt(self.patients[name]) and self.running(name)

    def _is_felt(self, patient: Patient) -> bool:
        return patient.sick or self._loop.now - patient.changed_at < _LAG

    def fall_ill(self, name: str) -> None:
        """Begin an illness of some kind."""
        patient = self.patients[name]
        if patient.sick or self.is_closed:
            return
        random = self._random
        kind = random.random()
        patient.sick = True
        patient.illness += 1
        patient.restart_cures = 0.0 if kind < 0.3 else random.choice((1.0, 0.6, 0.3))
        patient.relief_cures = kind < 0.2 or random.random() < 0.5
        patient.relapses = random.random() < 0.35
        self._trace.add("ward", "ill", f"{name} {patient.restart_cures} {patient.relief_cures}")
        # By itself at last: some minutes, or hours.
        lasts = random.expovariate(1 / 900) if kind > 0.8 else random.uniform(1800, 9000)
        self._loop.later(lasts, self._over, name, patient.illness)

    def cure(self, name: str, why: str) -> None:
        """End an illness."""
        patient = self.patients[name]
        if not patient.sick:
            return
        patient.sick = False
        patient.changed_at = self._loop.now
        self._trace.add("ward", "well", f"{name} {why}")

    def close(self) -> None:
        """Cure everybody, and let nobody fall ill again."""
        self.is_closed = True
        for name in self.patients:
            self.cure(name, "the end")

    def _over(self, name: str, illness: int) -> None:
        if self.patients[name].illness == illness:
            self.cure(name, "by itself")

    def started(self, one: Container, ours: bool) -> None:
        """See what a start does: of a patient, or of somebody who relieves it."""
        source = one.labels.get("relevo.clone-of")
        if source is not None:
            before = self.patients.get(one.name)
            if before is None or before.container_id != one.id:
                number = before.illness + 1 if before is not None else 0
                self.patients[one.name] = Patient(
                    name=one.name, illness=number, container_id=one.id
                )
            self._relieved(one)
            return
        patient = self.patients.get(one.name)
        if patient is None or not patient.sick:
            return
        if self._random.random() < patient.restart_cures:
            self.cure(one.name, "by a restart")
            if patient.relapses and not self.is_closed:
                patient.relapses = False
                again = self._random.choice((60.0, 200.0, 600.0, 2400.0))
                self._loop.later(self._random.uniform(0.5, 1.5) * again, self._again, one.name)

    def _relieved(self, clone: Container) -> None:
        for patient in self.patients.values():
            other = self._daemon.named(patient.name)
            if other is not None and patient.relief_cures and _group(other) == _group(clone):
                self.cure(patient.name, "by relief")

    def _again(self, name: str) -> None:
        patient = self.patients[name]
        if not self.is_closed and not patient.sick:
            patient.sick = True
            patient.illness += 1
            self._trace.add("ward", "relapse", name)
            self._loop.later(self._random.uniform(600, 5400), self._over, name, patient.illness)


def _group(one: Container) -> str:
    service = one.labels.get("com.docker.compose.service")
    return service or one.labels.get("relevo.clone-of") or one.name


def population() -> list[Container]:
    """The containers of the simulated host."""

    def one(name: str, number: int, labels: Mapping[str, str], stops_in: str) -> Container:
        return container(
            name, number, labels={**labels, "sim.stops-in": stops_in}, networks=("shop",)
        )

    enable = {"relevo.enable": "true"}
    return [
        one("web", 1, enable, "0.5"),
        one("db", 2, {**enable, "relevo.max-instances": "1"}, "10"),
        one("cache", 3, enable, "2"),
        *(one(f"shop-api-{n}", 3 + n, compose("shop", "api", n), "1") for n in (1, 2, 3)),
        one("worker", 7, enable, "6"),
        one("bystander", 8, {}, "1"),
        one("vault", 9, {**enable, "relevo.protected": "true"}, "1"),
        one("shadow", 10, {"relevo.enable": "observe"}, "1"),
    ]


def labels_of(name: str, alertname: str) -> dict[str, str]:
    """Labels of an alert about a container."""
    return {"alertname": alertname, "engine": ENGINE, "name": name, "severity": "critical"}
