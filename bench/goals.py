"""The goals: what `make bench` is to find, and what was found beside it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal. Its key is its name in the results."""

    key: str
    what: str
    #: Whether the measured value may not be above the limit, or not below it.
    at: Literal["most", "least"]
    limit: float
    unit: str = "×"

    def is_met(self, measured: float) -> bool:
        """Tell whether a measured value will do."""
        return measured <= self.limit if self.at == "most" else measured >= self.limit


GOALS: Final = (
    Goal("ingest_vs_bare", "ingest, 1 alert, against a bare ASGI server", "least", 0.30),
    Goal("ingest_vs_flask_shell", "the same against Flask and a shell script", "least", 25),
    Goal("ingest_vs_adnanh", "the same against adnanh/webhook, answered after", "least", 15),
    Goal("always_vs_everysec_c16", "fsync always against each second, 16 at once", "least", 0.6),
    Goal("always_vs_everysec_c64", "the same, 64 at once", "least", 0.8),
    Goal("p50_c1_vs_raw_evalsha", "median latency against a raw script call", "most", 2.5),
    Goal("p99_over_p50_c16", "p99 against p50, 16 at once", "most", 3),
    Goal("batch64_alerts_per_s", "64 alerts in one body", "least", 40_000, "alerts/s"),
    Goal("batch64_vs_flask_shell", "the same against Flask and a shell script", "least", 40),
    Goal("batch64_round_trips", "requests to Redis for a body of 64 alerts", "most", 1, "calls"),
    Goal("burst_vs_null", "2,000 groups of Alertmanager, against no receiver", "most", 1.5),
    Goal("burst_vs_adnanh", "the same against adnanh/webhook", "least", 6),
    Goal("burst_vs_flask_shell", "the same against Flask and a shell script", "least", 25),
    Goal("burst_lost", "alerts of that burst that are not in the store", "most", 0, "alerts"),
    Goal("window_us", "count in a window of 100,000", "most", 10, "µs"),
    Goal("window_growth", "the same against a window of 3", "most", 1.2),
    Goal("claim_us", "a claimed step", "most", 2, "µs"),
    Goal("claim_growth", "the same, 1,000,000 pending against 10", "most", 1.2),
    Goal("late_p99_ms_1", "lateness of 1 due step, p99", "most", 3, "ms"),
    Goal("late_p99_ms_1000", "of 1,000 due at once, p99", "most", 10, "ms"),
    Goal("late_p99_ms_10000", "of 10,000 due at once, p99", "most", 50, "ms"),
    Goal("late_vs_polling", "polling each second against it, p99", "least", 100),
    Goal("restart_vs_raw", "a restart against the raw socket", "most", 1.05),
    Goal("restart20_vs_sequential", "20 restarts against one after another", "most", 0.65),
    Goal("scale_out_vs_docker_run", "a scale-out against docker run -d", "most", 1.05),
    Goal("start_ms", "from the command to the first ready answer", "most", 700, "ms"),
    Goal("rss_mb", "memory of the idle controller", "most", 80, "MB"),
    Goal("idle_cpu_percent", "CPU with 20 containers collected each 15 s", "most", 0.5, "%"),
    Goal("fault_to_restart_s", "fault to restarted, Prometheus at 1 s, no wait", "most", 1.3, "s"),
    Goal("controller_share_ms", "the controller's share of that", "most", 10, "ms"),
    Goal(
        "relief_scale_first_s", "scale_first, shipped warm-up: to the first answer", "most", 60, "s"
    ),
    Goal(
        "relief_ladder_beyond_min_at_factor_20",
        "default ladder beyond waits and verifications, 20 × faster",
        "most",
        3,
        "min",
    ),
    Goal("fleet40_rss_mb", "40 engines with 50 containers each: memory", "most", 200, "MB"),
    Goal("fleet40_cpu_percent", "the same, CPU while idle", "most", 5, "%"),
    Goal("fleet40_dead_delay_ms", "what a dead engine adds for the others", "most", 50, "ms"),
    Goal("growth_alert", "cost of an alert, 100,000 targets against 10", "most", 1.2),
    Goal("growth_decision", "cost of a decision, likewise", "most", 1.2),
    Goal("growth_target_kb", "the controller's memory per known target", "most", 1, "kB"),
)


def table(measured: Mapping[str, float]) -> str:
    """Write the table: goal, measured, met or missed; what was not measured is said to be so."""
    lines = [f"{'goal':<58} {'asked':>16} {'measured':>16}  "]
    for goal in GOALS:
        sign = "≤" if goal.at == "most" else "≥"
        asked = f"{sign} {goal.limit:,g} {goal.unit}"
        if goal.key in measured:
            value = measured[goal.key]
            said = f"{_short(value)} {goal.unit}"
            verdict = "met" if goal.is_met(value) else "MISSED"
        else:
            said, verdict = "", "not measured"
        lines.append(f"{goal.what:<58} {asked:>16} {said:>16}  {verdict}")
    return "\n".join(lines)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def missed(measured: Mapping[str, float]) -> tuple[str, ...]:
    """Name the goals that were measured and not met."""
    return tuple(
        goal.key for goal in GOALS if goal.key in measured and not goal.is_met(measured[goal.key])
    )
