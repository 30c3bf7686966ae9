"""Whether a container's samples are fresh: old ones prove nothing, in either direction."""

from datetime import datetime

from app.domain.container import Listed
from app.domain.target import TargetId
from app.errors import SourceUnavailable
from app.policies.spec import Patience
from app.policies.symptom import Pulled, Unreachable, sample_doubt
from app.ports import Clock, Dossier, SampleSource


class Freshness:
    """Asks Prometheus for the newest sample, where there is one to ask."""

    def __init__(self, samples: SampleSource | None, clock: Clock, *, patience: Patience) -> None:
        self._samples = samples
        self._clock = clock
        self._patience = patience
        #: Names of containers whose samples were seen once: for these, none is a doubt.
        self._measured: set[str] = set()

    async def doubt(
        self,
        target: TargetId,
        container: Listed,
        pulled: Pulled | Unreachable | None,
        dossier: Dossier,
        *,
        now: datetime,
    ) -> str | None:
        """Tell why the target's samples prove nothing; None when fresh or nobody measures it."""
        if self._samples is None or pulled is None:
            return None
        is_listed = isinstance(pulled, Pulled) and pulled.fingerprints
        if not is_listed and not any(known.listed for known in dossier.alerts):
            return None
        try:
            newest = await self._samples.newest_sample(
                engine=target.engine, container=container.name, now=now
            )
        except SourceUnavailable as exc:
            return str(exc)
        if newest is not None:
            self._measured.add(container.name)
        elif container.name in self._measured:
            return "Prometheus has lost the samples of the container"
        # The clock is read again: the answer may be newer than this step.
        return sample_doubt(newest, now=self._clock.now(), patience=self._patience)
