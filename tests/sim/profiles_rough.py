"""Profiles whose faults strike where it hurts; and all profiles together."""

from dataclasses import dataclass, replace

from app.policies.spec import Policy, Rulebook, Strategy
from tests.sim.profiles import PROFILES as PLAIN
from tests.sim.profiles import Profile
from tests.sim.weather import Weather


@dataclass(frozen=True, slots=True, kw_only=True)
class Rough(Profile):
    """What chance alone brings about too seldom. Rates per hour; zero is never."""

    #: A person puts a hold on a container whose restart is waited for.
    holds_ill: float = 0.0
    #: Chance that a person stops one a moment before its restart is due.
    stops_due: float = 0.0
    #: Illnesses that only another instance relieves, for a while; clones catch them.
    stubborn: float = 0.0
    #: All instances of a service fall ill at once.
    crowds: float = 0.0
    #: Spells in which the records of one container end whoever reads them for a step.
    poisons: float = 0.0
    #: Something between Alertmanager and Relevo loses what fires, and says that it was taken.
    loses: float = 0.0
    #: It delivers what was taken once more, minutes later.
    repeats: float = 0.0
    #: Prometheus restarts without its data: rules over minutes find nothing for a while.
    blanks: float = 0.0
    #: A look at the engine takes up to so many seconds.
    lag: float = 0.0
    #: Containers take their time to stop.
    stops_slowly: bool = False
    #: People have groups scaled out; half as often, in.
    tides: float = 0.0
    #: Clones end, are stopped, paused, removed; a third as often, what they were made of.
    clone_faults: float = 0.0
    #: Somebody makes a container that says that it is a clone, or takes one away.
    decoys: float = 0.0
    #: A person holds a target that has a clone, or pauses everything.
    halts: float = 0.0
    strategy: Strategy = Strategy.RESTART_FIRST


_TIDES = Rough(
    name="tides",
    controllers=(2, 2),
    illnesses=1.5,
    tides=8.0,
    clone_faults=4.0,
    decoys=1.5,
    halts=1.0,
)

ROUGH = {
    one.name: one
    for one in (
        Rough(name="held", holds_ill=12.0, illnesses=8.0),
        Rough(name="stopped", stops_due=0.5, illnesses=10.0),
        Rough(name="stubborn", stubborn=3.0, illnesses=0.0, storms=0.0),
        Rough(name="tried", stubborn=3.0, illnesses=0.0, storms=0.0, holds_ill=10.0),
        Rough(name="crowd", crowds=3.0, illnesses=0.5, storms=0.0),
        Rough(name="poison", poisons=3.0, illnesses=6.0, controllers=(1, 2)),
        Rough(name="deaf", loses=0.9, illnesses=5.0),
        Rough(name="echo", repeats=0.7, illnesses=6.0),
        Rough(name="hearsay", blind=True, repeats=0.7, illnesses=6.0, controllers=(1, 1)),
        Rough(name="mute", prometheus_faults=3.0, illnesses=8.0),
        Rough(name="blank", blanks=3.0, illnesses=8.0, storms=0.0),
        Rough(
            name="torn",
            outages=10.0,
            illnesses=6.0,
            background=Weather(lost_request=0.01, lost_reply=0.01),
        ),
        Rough(name="lag", lag=3.0, illnesses=4.0, storms=1.5),
        _TIDES,
        replace(_TIDES, name="ebb", tides=4.0, clone_faults=0.0, decoys=0.0, halts=2.0),
        replace(_TIDES, name="spring", storms=2.0, illnesses=4.0, halts=0.0),
        replace(_TIDES, name="surf", kills=6.0, pauses=5.0, stops=1.0, loses_data=0.2),
        replace(_TIDES, name="wreck", rollbacks=1.0, emptied=0.5, spells=2.0, server_restarts=1.0),
        replace(_TIDES, name="shoal", tempers=3.0, daemon_down=1.0, stream_cuts=2.0),
        Rough(name="surge", strategy=Strategy.SCALE_FIRST, illnesses=3.0, people=0.5),
        Rough(name="cover", strategy=Strategy.RELIEVE_FIRST, illnesses=3.0, people=0.5, kills=1.0),
        Rough(name="sluggish", stops_slowly=True, illnesses=6.0, controllers=(2, 2)),
    )
}

PROFILES: dict[str, Profile] = {**PLAIN, **ROUGH}


def rulebook_of(profile: Profile) -> Rulebook:
    """What all controllers go by: all that is shipped, but for how ill ones are helped."""
    if not isinstance(profile, Rough):
        return Rulebook()
    return Rulebook(defaults=Policy(strategy=profile.strategy))
