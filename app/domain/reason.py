"""Why something was done or not done: one closed list of words."""

from enum import StrEnum


class Reason(StrEnum):
    """Why something was done or not done: the same word in API, log, metric and page."""

    # why a step is taken
    FIRST_NEED = "first_need"
    BACKOFF = "backoff"
    WINDOW_FULL = "window_full"
    STILL_NEEDED = "still_needed"
    CLONE_SICK = "clone_sick"
    INTERRUPTED = "interrupted"
    FOUND_STOPPED = "found_stopped"
    RELAPSED = "relapsed"
    MANUAL = "manual"
    COVER = "cover"
    UNDER_COVER = "under_cover"
    SCALED_IN_LATELY = "scaled_in_lately"
    QUIET = "quiet"
    CLONE_DOWN = "clone_down"
    COVER_OVER = "cover_over"
    ISOLATION_OVER = "isolation_over"

    # what a verification is waiting for, or has seen
    DEADLINE = "deadline"
    SETTLING = "settling"
    SETTLED = "settled"
    RELIEF = "relief"
    WARM_UP = "warm_up"

    # why nothing is done
    RESOLVED = "resolved"
    SILENCED = "silenced"
    COOLDOWN = "cooldown"
    RESTARTED_MEANWHILE = "restarted_meanwhile"
    NOT_RUNNING = "not_running"
    PAUSED_CONTAINER = "paused_container"
    OBSERVE = "observe"
    NO_FRESH_DATA = "no_fresh_data"
    ENGINE_DOWN = "engine_down"
    STORE_DOWN = "store_down"
    NEW_INCARNATION = "new_incarnation"
    QUARANTINE = "quarantine"
    HUMAN = "human"
    HOLD = "hold"
    PAUSE = "pause"
    BRAKE = "brake"
    BUDGET = "budget"
    MIN_HEALTHY = "min_healthy"
    DEPLOY = "deploy"
    START_GRACE = "start_grace"
    PROTECTED = "protected"
    OPERATOR = "operator"
    BUSY = "busy"

    # why an instance stays
    NO_CLONE = "no_clone"
    LAST_INSTANCE = "last_instance"
    NEEDED = "needed"
    REPLACED = "replaced"

    # why an alert is skipped
    OWN_ALERT = "own_alert"
    OTHER_ENGINE = "other_engine"
    AMBIGUOUS_ENGINE = "ambiguous_engine"
    NO_SUCH_TARGET = "no_such_target"
    AMBIGUOUS_TARGET = "ambiguous_target"
    NOT_OPTED_IN = "not_opted_in"
    SWARM_TASK = "swarm_task"
    STALE = "stale"

    # why a ladder ends, or a scale-out is refused
    SCALE_OUT_DISABLED = "scale_out_disabled"
    SCALE_OUT_FAILED = "scale_out_failed"
    AT_MAX = "at_max"
    MAX_CLONES = "max_clones"
    ALREADY_SCALED = "already_scaled"
    NO_TRAFFIC = "no_traffic"
    NO_EFFECT = "no_effect"
    NO_MEMORY_HEADROOM = "no_memory_headroom"
    NO_CPU_HEADROOM = "no_cpu_headroom"
    UNKNOWN_TOO_LONG = "unknown_too_long"
    POISON = "poison"

    # why no faithful clone can be made (the words of the fidelity report)
    FIXED_HOST_PORT = "fixed_host_port"
    NETWORK_MODE = "network_mode"
    HOST_NETWORK = "host_network"
    SHARED_VOLUME = "shared_volume"
    DATA_IN_ANONYMOUS_VOLUME = "data_in_anonymous_volume"
    DATA_IN_LAYER = "data_in_layer"
    COMPOSE_CONFIGS = "compose_configs"
    SHARED_DEVICE = "shared_device"
    IMPLICIT_ROUTER = "implicit_router"
    AUTO_REMOVE = "auto_remove"
    IS_CLONE = "is_clone"
