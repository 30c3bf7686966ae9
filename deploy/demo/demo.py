"""
`make demo`: a container that no restart can cure is restarted three times, and then relieved.

    demo.py            from nothing to the closing check, and back to nothing
    KEEP=1 demo.py     leaves everything up, to look around
    demo.py --down     takes down what was kept

The real stack with its shipped configuration, twenty times faster (scale.py), a service that is too
small for its load (service.py) and its customers (client.py). What is printed is what the parts
say; the closing check asks Docker, Prometheus and Alertmanager themselves. Exit 0 if all of it
holds, 1 if not.
"""

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from deploy.demo.host import Failed  # noqa: E402 - importable from anywhere
from deploy.demo.screen import Screen  # noqa: E402
from deploy.demo.show import Show  # noqa: E402
from deploy.demo.stage import Stage  # noqa: E402

_INTERRUPTED = 130


def _told_to_end(_number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM ends the demo as Ctrl-C does: with everything taken down."""
    raise KeyboardInterrupt


def perform(screen: Screen, stage: Stage, *, keep: bool) -> int:
    """Run the demo and leave nothing behind, whatever happens; return the exit status."""
    status = 1
    try:
        status = 0 if Show(screen, stage).run() else 1
    except Failed as exc:
        _say_failed(screen, exc)
    except KeyboardInterrupt:
        screen.progress("")
        screen.line("interrupted")
        status = _INTERRUPTED
    finally:
        left = leave(screen, stage, status, keep=keep)
    if not left:
        return 1
    if status == 0:
        screen.line(screen.styled("All of it holds.", "good"))
    return status


def leave(screen: Screen, stage: Stage, status: int, *, keep: bool) -> bool:
    """Keep the logs of a failure, then take down what is not to be kept; return success."""
    # Once more Ctrl-C would leave half of it behind.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        if status == 1:
            screen.progress("keeping the logs")
            screen.text(f"Logs, and what Relevo says: {stage.keep_logs()}")
        if keep and status != _INTERRUPTED:
            stage.events.stop()
            _say_how_to_look_around(screen, stage)
        else:
            take_down(screen, stage)
    except Failed as exc:
        _say_failed(screen, exc)
        return False
    return True


def take_down(screen: Screen, stage: Stage) -> None:
    """Remove everything. :raises Failed: something is still there"""
    screen.progress("taking everything down")
    stage.take_down()
    screen.progress("")
    screen.line(f"Everything is taken down again ({' and '.join(stage.projects)}).")


def _say_failed(screen: Screen, exc: Failed) -> None:
    screen.progress("")
    screen.text(f"FAILED  {exc}", style="bad")


def _say_how_to_look_around(screen: Screen, stage: Stage) -> None:
    read = stage.secrets / "relevo_token_read"
    screen.line("Everything stays up (KEEP=1). To look around:")
    screen.line(f"  {stage.url('RELEVO')}/")
    screen.line("    log in with relevo_token_read, or to steer it with relevo_token_operate, of")
    screen.line(f"    {stage.secrets}/")
    screen.line(f"  docker ps --filter name={stage.shop}")
    screen.line(f"  docker logs --follow {stage.customers[:12]}")
    screen.line(f'  curl -H "Authorization: Bearer $(cat {read})" \\')
    screen.line(f"    {stage.url('RELEVO')}/api/v1/remediations")
    screen.line("To take it down:")
    screen.line("  .venv/bin/python deploy/demo/demo.py --down")


def main(argv: list[str] | None = None) -> int:
    """Run the demo, or take down what was kept."""
    parser = argparse.ArgumentParser(description="A sick container is healed and relieved.")
    parser.add_argument("--down", action="store_true", help="take down what KEEP=1 has left up")
    arguments = parser.parse_args(argv)
    screen = Screen()
    signal.signal(signal.SIGTERM, _told_to_end)
    try:
        if arguments.down:
            standing = Stage.standing()
            for stage in standing:
                take_down(screen, stage)
            if not standing:
                screen.line("No demo is up.")
            return 0
        stage = Stage.free()
    except Failed as exc:
        _say_failed(screen, exc)
        return 1
    return perform(screen, stage, keep=os.environ.get("KEEP", "0") not in {"", "0"})


if __name__ == "__main__":
    sys.exit(main())
