"""
Our exceptions.

* RelevoError
  + Transient               worth another call after a while
    - EngineUnavailable     the container engine did not answer, or is failing for everyone
      . EngineSilent        no answer in time: what was asked for may still happen
    - StoreUnavailable      the store did not take or give what was asked of it
      . StoreRegressed      it answers, and is emptied or older than it was
      . Unreadable          it answers, and what it keeps there cannot be read
    - SourceUnavailable     Alertmanager, Prometheus or Grafana did not answer
    - NotAccepting          shutting down, or the queue is full: send it again
  + Permanent               another call cannot help
    - ContainerGone         the container no longer exists
    - EngineRefused         the engine refused this request for this container
      . GateRefused         the gate refused it, and the engine was not asked
    - StartedMeanwhile      somebody else started the container since the step was planned
    - ServiceGone           the Swarm service no longer exists
    - ServiceChanged        somebody else changed the service since the step was planned
    - CloneRefused          no faithful clone of this container can be made
    - LeaseLost             another worker holds the step now; its word counts
      . TooLate             an action was not begun in time; nothing was done
    - CoolingDown           the group was scaled out a moment ago
    - OutOfBudget           too many actions at once, or lately
    - GroupBusy             too many instances of the group are out by our hand already
    - NoRoom                as many instances or clones as there may be, or a full host
    - OrderConflict         an operator's order, while something else is going on there
    - OrderRefused          an operator's order that a guard forbids
    - MessageRefused        a tool does not take this message, however often it is sent
    - BadConfiguration      a setting or the policy file is wrong; says where and what to do
"""

from datetime import datetime

from app.domain.fidelity import FidelityReport


class RelevoError(Exception):
    """Anything that Relevo raises on purpose."""


class Transient(RelevoError):
    """Worth another call after a while."""


class Permanent(RelevoError):
    """Another call cannot help."""


class EngineUnavailable(Transient):
    """The container engine did not answer, or answers errors to everyone."""


class EngineSilent(EngineUnavailable):
    """
    The engine took a request and gave no answer in time.

    Unknown, not failed: Docker goes on although the client left. Look at the container.
    """


class StoreUnavailable(Transient):
    """The store did not take or give what was asked of it; nothing may be assumed done."""


class Unreadable(StoreUnavailable):
    """The store answers, and what it keeps under one key is nothing that we know."""


class StoreRegressed(StoreUnavailable):
    """The store answers and has lost what it had confirmed: emptied, or an older copy."""


class SourceUnavailable(Transient):
    """Alertmanager, Prometheus or Grafana did not answer, or not in a form that we know."""


class NotAccepting(Transient):
    """Nothing is taken on at this moment: shutting down, or the queue is full."""


class ContainerGone(Permanent):
    """The container no longer exists under this id."""


class EngineRefused(Permanent):
    """
    The engine answered an error for this one container.

    :param status: the HTTP status of the engine's answer
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class GateRefused(EngineRefused):
    """
    The gate did not let a request through to the engine; nothing was done.

    :param reason: the word for why, of `app.domain.gate.Bar`
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(403, message)
        self.reason = reason


class StartedMeanwhile(Permanent):
    """Somebody else started the container since the step was planned."""


class ServiceGone(Permanent):
    """The Swarm service no longer exists under this id."""


class ServiceChanged(Permanent):
    """Somebody else updated or scaled the service since the step was planned; nothing was done."""


class CloneRefused(Permanent):
    """
    No faithful clone can be made.

    :param report: of the refusal, where there is one: it says why, field by field
    """

    def __init__(self, message: str, report: FidelityReport | None = None) -> None:
        super().__init__(message)
        self.report = report


class LeaseLost(Permanent):
    """The lease on this step has passed to another worker, or ran out."""


class TooLate(LeaseLost):
    """An action could not be begun while it was sure that it is ours; nothing was done."""


class CoolingDown(Permanent):
    """
    The group was scaled out a moment ago.

    :param until: when it may be scaled out again
    """

    def __init__(self, until: datetime) -> None:
        super().__init__(f"cooling down until {until.isoformat()}")
        self.until = until


class OutOfBudget(Permanent):
    """
    Too many actions at once, or within the last minutes or hour.

    :param until: when there may be room again
    """

    def __init__(self, until: datetime) -> None:
        super().__init__(f"out of budget until {until.isoformat()}")
        self.until = until


class GroupBusy(Permanent):
    """
    Too many instances of the group are out by our hand already.

    :param until: when to ask again
    """

    def __init__(self, until: datetime) -> None:
        super().__init__(f"the group has instances out until {until.isoformat()}")
        self.until = until


class NoRoom(Permanent):
    """
    There are as many instances, or clones, as there may be, or the host has no room for one more.

    :param reason: the word for which of them
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class OrderConflict(Permanent):
    """What an operator ordered cannot be begun now; the message says what is in the way."""


class OrderRefused(Permanent):
    """
    What an operator ordered is forbidden by a guard.

    :param reason: the word for it
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class MessageRefused(Permanent):
    """A tool does not take this one message, however often it is sent."""


class BadConfiguration(Permanent):
    """A setting or the policy file is wrong. The message says where, what, and what to do."""
