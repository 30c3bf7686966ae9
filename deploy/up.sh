#!/usr/bin/env bash
# Brings the real stack up, or to what its configuration says now; waits until all of it is healthy.
#   RELEVO_METRICS=cadvisor   cAdvisor instead of Relevo's own collector
#   RELEVO_EXTERNAL_URL=...   how people reach Relevo, for links in messages
#   RELEVO_AIRGAP=1           try no image registry
#   RELEVO_NO_BUILD=1         all images are there: make and build none
# Ports, folders, profiles: the head of compose.yaml.
set -euo pipefail
deploy="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$deploy/airgap/common.sh"
export COMPOSE_PROJECT_NAME="${COMPOSE_PROJECT_NAME:-relevo}"
compose() { "$deploy/compose.sh" "$@"; }

"$deploy/airgap/engine.sh"
[ "${RELEVO_NO_BUILD:-0}" = 1 ] || "$deploy/airgap/images.sh"
"$deploy/airgap/secrets.sh"

# What the committed configuration cannot know goes into a copy of it, made anew each time.
if [ -z "${RELEVO_CONFIG_DIR:-}" ]; then
    if [ "${RELEVO_METRICS:-collector}" = cadvisor ] || [ -n "${RELEVO_EXTERNAL_URL:-}" ] || [ -n "${RELEVO_PORT:-}" ]; then
        "$deploy/config.sh" "$deploy/run/config"
    else
        rm -rf "$deploy/run/config"
    fi
fi

if [ "${RELEVO_METRICS:-collector}" = cadvisor ]; then
    cadvisor="$(grep -oE 'ghcr.io/google/cadvisor:[^ ]+' "$deploy/compose.yaml")"
    docker image inspect "$cadvisor" >/dev/null 2>&1 || timeout 300 docker pull --quiet "$cadvisor" >/dev/null 2>&1 \
        || die "$cadvisor cannot be pulled here (docker load it), or leave RELEVO_METRICS out: Relevo has its own collector"
fi

# Grafana is on wherever its image is.
grafana="$(grep -oE 'grafana/grafana:[^ ]+' "$deploy/compose.yaml")"
if docker image inspect "$grafana" >/dev/null 2>&1 && [[ ",${COMPOSE_PROFILES:-}," != *,grafana,* ]]; then
    export COMPOSE_PROFILES="grafana${COMPOSE_PROFILES:+,$COMPOSE_PROFILES}"
fi
# Coming back from cAdvisor to the collector: they share one port.
if [ "${RELEVO_METRICS:-collector}" != cadvisor ]; then
    docker ps --all --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" \
        --filter label=com.docker.compose.service=cadvisor | xargs --no-run-if-empty docker rm --force >/dev/null
fi

compose up --detach --remove-orphans

# name, state and health of each container of the project
state() {
    docker ps --all --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" --filter label=com.docker.compose.oneoff=False \
        --format '{{.Names}}' | xargs --no-run-if-empty docker inspect \
        --format '{{.Name}} {{.State.Status}} {{if .State.Health}}{{.State.Health.Status}}{{else}}healthy{{end}}' 2>/dev/null \
        | sed 's|^/||'
}
unhealthy() { state | grep -v ' running healthy$' || true; }
limit="${RELEVO_UP_TIMEOUT:-120}"
say "waiting until everything is healthy (at most $limit s)"
while [ -n "$(unhealthy)" ]; do
    if [ "$SECONDS" -ge "${deadline:=$((SECONDS + limit))}" ]; then
        unhealthy | while read -r name rest; do
            say "$name is $rest; its last words:"
            docker logs --tail 5 "$name" >&2 2>&1 || true
        done
        die "not healthy after $limit s"
    fi
    sleep 0.5
done
# Changed rules and routes are taken up without a restart.
compose kill -s HUP prometheus alertmanager >/dev/null 2>&1

secrets="${RELEVO_SECRETS_DIR:-$deploy/secrets}"
cat <<END

Relevo         ${RELEVO_EXTERNAL_URL:-http://localhost:${RELEVO_PORT:-5000}}/docs
Prometheus     http://localhost:${PROMETHEUS_PORT:-9090}
Alertmanager   http://localhost:${ALERTMANAGER_PORT:-9093}
$([[ "$(state)" != *grafana* ]] || echo "Grafana        http://localhost:${GRAFANA_PORT:-3000} (admin, password in $secrets/grafana_password)")
Tokens in $secrets: relevo_token_read to look, relevo_token_operate to act
Slack: printf %s 'https://hooks.slack.com/services/...' > $secrets/slack_url
END
