#!/usr/bin/env bash
# Makes sure that a Docker engine and a Compose answer; `engine.sh stop` stops the engine again if,
# and only if, this script started it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./common.sh

STATE="${RELEVO_ENGINE_STATE:-/run/relevo}"
PIDFILE="$STATE/dockerd.pid"
LOG="$STATE/dockerd.log"

# Whether the process we noted down is still that dockerd, and not a stranger with the same number.
started_by_us() {
    [ -r "$PIDFILE" ] && [ "$(cat "/proc/$(cat "$PIDFILE")/comm" 2>/dev/null)" = dockerd ]
}

# Not every machine has pgrep.
a_dockerd_runs() { grep -qsx dockerd /proc/[0-9]*/comm; }

stop() {
    if ! started_by_us; then
        say "no Docker engine was started by Relevo; nothing to stop"
        return
    fi
    local pid
    pid="$(cat "$PIDFILE")"
    kill -TERM "$pid"
    for _ in $(seq 1 300); do
        if ! started_by_us; then
            rm -f "$PIDFILE"
            say "stopped the Docker engine (process $pid)"
            return
        fi
        sleep 0.1
    done
    die "the Docker engine (process $pid) does not stop; see $LOG"
}

start() {
    if [ -n "${DOCKER_HOST:-}" ] && [[ "$DOCKER_HOST" != unix://* ]]; then
        die "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST"
    fi
    have dockerd || die "no Docker engine answers (docker version), and dockerd is not installed here"
    if init_runs; then
        say "starting the service docker"
        service docker start >/dev/null 2>&1 || systemctl start docker \
            || die "the service docker does not start; see: journalctl -u docker"
    elif a_dockerd_runs; then
        say "a dockerd runs already, waiting for it to answer"
    else
        mkdir -p "$STATE"
        say "no init system runs here: starting dockerd itself, log in $LOG"
        # Its own session, no terminal: it outlives this script and what called it.
        # shellcheck disable=SC2016
        setsid --fork bash -c 'echo $$ >"$1"; exec dockerd' dockerd "$PIDFILE" \
            </dev/null >"$LOG" 2>&1
    fi
    for _ in $(seq 1 300); do
        engine_answers && return
        if [ -r "$PIDFILE" ] && ! init_runs && ! started_by_us && ! a_dockerd_runs; then
            tail -n 3 "$LOG" >&2
            die "dockerd ended at once; see $LOG (in a container it needs --privileged)"
        fi
        sleep 0.2
    done
    die "dockerd does not answer after 60 s; see $LOG"
}

case "${1:-start}" in
    stop) stop; exit ;;
    start) ;;
    *) die "usage: engine.sh [start|stop]" ;;
esac

packages=()
if ! { have docker && engine_answers; } && ! have dockerd; then
    packages+=(docker.io iptables)
fi
if ! docker compose version >/dev/null 2>&1 && ! have docker-compose; then
    packages+=(docker-compose)
fi
if [ "${#packages[@]}" -gt 0 ]; then
    apt_install "${packages[@]}"
fi
if ! engine_answers; then
    if ! as_root; then
        answer="$(docker version 2>&1 || true)"
        if [[ "${answer,,}" == *'permission denied'* ]]; then
            die "you may not use the Docker engine: join its group (sudo usermod -aG docker $(id -un), then log in again), or use sudo"
        fi
        die "no Docker engine answers, and only root can start one: sudo $PWD/engine.sh"
    fi
    start
fi
say "Docker engine $(docker version --format '{{.Server.Version}}')"
