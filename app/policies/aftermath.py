"""What a restart of ours has left behind."""

from app.domain.container import Container, RunState
from app.domain.decision import Reason, Verdict
from app.domain.observation import Observation
from app.domain.remediation import Action, Attempt, Remediation, Trigger

#: SIGKILL: a person's, or the kernel's when memory ran out.
_KILLED = 137
#: What a container that is stopped by hand ends with: done, SIGKILL, SIGTERM.
_STOPPED_BY_SIGNAL = (0, 137, 143)


def loops(seen: Observation, last: Attempt) -> bool:
    """Tell whether what we restarted never stays up: it has no moment in which to act on it."""
    container = seen.container
    return (
        container is not None
        and container.state is RunState.RESTARTING
        and last.verdict is Verdict.CRASH_LOOP
        and last.trigger in (Trigger.AUTOMATIC, Trigger.MANUAL)
    )


def left_down(seen: Observation, remediation: Remediation, last: Attempt) -> bool:
    """Tell whether the container that we restarted last has stopped since, and stays so."""
    container = seen.container
    since = last.acted_at or last.intent_at
    if any(entry.reason is Reason.HUMAN and entry.at >= since for entry in remediation.log):
        return False  # a person stopped it, and we knew before we forgot
    return (
        container is not None
        and last.action is Action.RESTART
        and last.trigger in (Trigger.AUTOMATIC, Trigger.MANUAL)
        and last.verdict is not None
        and last.verdict.counts
        and container.started_at == (last.started_after or last.started_before)
        and container.state in (RunState.EXITED, RunState.DEAD)
        and seen.guards.human is None
    )


def stopped_by_itself(seen: Observation) -> bool:
    """Tell a crash from what may be a person's ``docker stop``."""
    assert seen.container is not None
    return died_by_itself(seen.container)


def died_by_itself(container: Container) -> bool:
    """Tell, of one that does not run, a crash from what may be a ``docker stop``."""
    out_of_memory = container.oom_killed and container.exit_code == _KILLED
    return out_of_memory or container.exit_code not in _STOPPED_BY_SIGNAL
