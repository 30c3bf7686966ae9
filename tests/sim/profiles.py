"""How rough a simulation is: how often what goes wrong, per simulated hour."""

from dataclasses import dataclass, field

from tests.sim.weather import Weather


@dataclass(frozen=True, slots=True)
class Profile:
    """Rates per hour; zero is never."""

    name: str
    controllers: tuple[int, int] = (1, 3)
    #: New illnesses, and storms of them.
    illnesses: float = 1.2
    storms: float = 0.05
    kills: float = 0.0
    #: Of kills: share that happens between two steps of the process' own code.
    at_await: float = 0.5
    pauses: float = 0.0
    stops: float = 0.0
    #: A killed controller that has lost its data directory, of all.
    loses_data: float = 0.0
    #: Spells of bad weather between controllers and store, and what one is like.
    spells: float = 0.0
    outages: float = 0.0
    rollbacks: float = 0.0
    emptied: float = 0.0
    server_restarts: float = 0.0
    #: The daemon: spells of ill temper, down, its restarts.
    tempers: float = 0.0
    daemon_down: float = 0.0
    daemon_restarts: float = 0.0
    stream_cuts: float = 0.0
    #: The chain: Alertmanagers, Prometheus, links.
    am_restarts: float = 0.0
    am_outages: float = 0.0
    prometheus_faults: float = 0.0
    notifying: float = 0.0
    people: float = 0.0
    orders: float = 0.0
    clock_steps: float = 0.0
    suspends: float = 0.0
    drift: float = 0.0
    offset: float = 0.0
    #: Asks no API: follows the notices alone.
    blind: bool = False
    #: All the time.
    background: Weather = field(default_factory=Weather)


_FAULTS = Profile(
    name="faults",
    kills=1.5,
    pauses=1.0,
    stops=0.3,
    loses_data=0.1,
    spells=1.0,
    outages=0.3,
    rollbacks=0.15,
    emptied=0.05,
    server_restarts=0.2,
    tempers=0.5,
    daemon_down=0.15,
    daemon_restarts=0.05,
    stream_cuts=0.5,
    am_restarts=0.15,
    am_outages=0.15,
    prometheus_faults=0.2,
    notifying=0.5,
    people=0.6,
    orders=0.4,
    clock_steps=0.05,
    suspends=0.05,
    drift=0.002,
    offset=5.0,
    background=Weather(lost_request=0.0005, lost_reply=0.0005, twice=0.0005),
)

PROFILES = {
    one.name: one
    for one in (
        _FAULTS,
        Profile(name="calm", controllers=(1, 1)),
        Profile(name="pair", controllers=(2, 2)),
        Profile(
            name="store",
            spells=4.0,
            outages=1.0,
            rollbacks=1.0,
            emptied=0.3,
            server_restarts=1.0,
            illnesses=2.0,
            background=Weather(lost_request=0.004, lost_reply=0.004, twice=0.002),
        ),
        Profile(
            name="deaths",
            kills=8.0,
            pauses=6.0,
            stops=1.5,
            loses_data=0.2,
            illnesses=3.0,
        ),
        Profile(
            name="engine",
            tempers=3.0,
            daemon_down=1.0,
            daemon_restarts=0.3,
            stream_cuts=2.0,
            illnesses=3.0,
            people=1.0,
        ),
        Profile(
            name="chain",
            am_restarts=1.0,
            am_outages=1.0,
            prometheus_faults=1.0,
            notifying=2.0,
            illnesses=2.0,
        ),
        Profile(name="people", people=4.0, orders=4.0, illnesses=3.0),
        Profile(
            name="clocks",
            clock_steps=1.0,
            suspends=0.5,
            drift=0.2,
            offset=3600.0,
            illnesses=2.0,
            kills=1.0,
            pauses=1.0,
        ),
        Profile(name="storm", storms=1.5, illnesses=4.0, kills=1.0, controllers=(1, 2)),
        Profile(
            name="blind",
            blind=True,
            kills=1.5,
            pauses=1.0,
            spells=1.0,
            outages=0.3,
            notifying=0.0,
            illnesses=2.0,
        ),
        Profile(name="losses", rollbacks=2.0, emptied=2.0, illnesses=6.0),
        Profile(name="restarts", server_restarts=12.0, illnesses=8.0),
        Profile(name="late", blind=True, notifying=4.0, illnesses=6.0, controllers=(1, 1)),
        Profile(name="ruins", rollbacks=15.0, illnesses=20.0, controllers=(1, 2)),
        Profile(name="points", controllers=(2, 2), illnesses=6.0),
    )
}
