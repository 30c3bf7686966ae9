#!/usr/bin/env bash
# Compose with this project's file, name and environment: deploy/compose.sh ps, deploy/compose.sh logs relevo
# up.sh and down.sh go through it. Uses `docker compose` where the plug-in is, else docker-compose 1.29.
set -euo pipefail
deploy="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$deploy/airgap/common.sh"

export COMPOSE_PROJECT_NAME="${COMPOSE_PROJECT_NAME:-relevo}"
export DOCKER_SOCKET="${DOCKER_SOCKET:-/var/run/docker.sock}"
# The group by which a user without root may use the socket. It holds inside containers, too.
export DOCKER_GID="${DOCKER_GID:-$(stat -Lc %g "$DOCKER_SOCKET" 2>/dev/null || echo 0)}"
export RELEVO_EXTERNAL_URL="${RELEVO_EXTERNAL_URL:-http://localhost:${RELEVO_PORT:-5000}}"
# Compose takes relative paths from the folder of its file; people mean the folder they are in.
absolute() { case "$1" in /*) printf '%s' "$1" ;; *) printf '%s/%s' "$PWD" "$1" ;; esac; }
export RELEVO_SECRETS_DIR
RELEVO_SECRETS_DIR="$(absolute "${RELEVO_SECRETS_DIR:-$deploy/secrets}")"
# A server that was started with other users is started anew.
export RELEVO_REDIS_USERS
RELEVO_REDIS_USERS="$(cksum "$RELEVO_SECRETS_DIR/redis_acl" 2>/dev/null | cut -d' ' -f1 || true)"
export RELEVO_CONFIG_DIR
RELEVO_CONFIG_DIR="$(absolute "${RELEVO_CONFIG_DIR:-$([ -d "$deploy/run/config" ] && echo "$deploy/run/config" || echo "$deploy")}")"
if [ "${RELEVO_METRICS:-collector}" = cadvisor ]; then
    export RELEVO_COLLECTOR_REPLICAS=0
    export COMPOSE_PROFILES="cadvisor${COMPOSE_PROFILES:+,$COMPOSE_PROFILES}"
fi

# Where Grafana is on, Relevo writes its annotations there.
if [[ ",${COMPOSE_PROFILES:-}," == *,grafana,* ]]; then
    export RELEVO_GRAFANA_URL_FILE="${RELEVO_GRAFANA_URL_FILE:-/run/secrets/relevo_grafana_url}"
fi

if docker compose version >/dev/null 2>&1; then
    exec docker compose --file "$deploy/compose.yaml" "$@"
elif have docker-compose; then
    exec docker-compose --file "$deploy/compose.yaml" "$@"
else
    die "neither 'docker compose' nor docker-compose is installed: deploy/airgap/engine.sh installs one on Debian"
fi
