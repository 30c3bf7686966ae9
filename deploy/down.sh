#!/usr/bin/env bash
# Stops the stack and removes its containers and network. The data stays; `down.sh --volumes` removes it.
set -euo pipefail
deploy="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
# Whatever was switched on: a profile's containers belong to the project too.
export COMPOSE_PROFILES=cadvisor,grafana
exec "$deploy/compose.sh" down --remove-orphans "$@"
