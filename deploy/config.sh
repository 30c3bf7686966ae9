#!/usr/bin/env bash
# Copies the configuration to a folder and writes in what only this machine knows: the engine's name
# for cAdvisor's series, and the address under which people reach Relevo.
#   config.sh FOLDER
set -euo pipefail
deploy="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$deploy/airgap/common.sh"
to="${1:?usage: config.sh FOLDER}"

# The folders themselves stay: running containers have them mounted.
mkdir -p "$to"
find "$to" -type f -delete
cp -r "$deploy/prometheus" "$deploy/alertmanager" "$deploy/relevo" "$deploy/grafana" "$to"

url="${RELEVO_EXTERNAL_URL:-http://localhost:${RELEVO_PORT:-5000}}"
[[ "$url" =~ ^https?://[A-Za-z0-9._:/%~-]+$ ]] || die "RELEVO_EXTERNAL_URL=$url is not an http(s) address"
printf '{{ define "relevo.url" }}%s{{ end }}\n' "${url%/}" >"$to/alertmanager/templates/url.tmpl"
# The dashboards' constant `relevo`: where their links lead.
sed -i "s|\"http://localhost:5000\"|\"${url%/}\"|" "$to"/grafana/dashboards/*.json

if [ "${RELEVO_METRICS:-collector}" = cadvisor ]; then
    # The name that Relevo uses: its own setting, else the engine's.
    engine="${RELEVO_ENGINE_NAME:-$(docker info --format '{{.Name}}')}"
    [[ "$engine" =~ ^[A-Za-z0-9_.-]+$ ]] || die "RELEVO_ENGINE_NAME=$engine may hold letters, digits, '_', '.' and '-' only"
    printf '%s\n' '- targets: ["container-metrics:5001"]' "  labels: {engine: \"$engine\"}" \
        >"$to/prometheus/targets/containers.yml"
fi
