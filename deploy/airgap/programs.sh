#!/usr/bin/env bash
# Installs what is missing of the programs that the tests run and that the stand-in images are made of.
#   programs.sh [PROGRAM...]     (default: what nearly every test needs; debootstrap only the base
#                                 image, the balancers and wrk only the tests of examples/, chromium
#                                 only those of the pages, docker-compose-v2 only those of Compose:
#                                 it is built)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./common.sh

# program:Debian package
known=(
    docker-compose:docker-compose
    prometheus:prometheus
    promtool:prometheus
    prometheus-alertmanager:prometheus-alertmanager
    amtool:prometheus-alertmanager
    prometheus-node-exporter:prometheus-node-exporter
    redis-server:redis-server
    redis-cli:redis-tools
    busybox:busybox-static
    debootstrap:debootstrap
    haproxy:haproxy
    nginx:nginx
    caddy:caddy
    wrk:wrk
    redis-benchmark:redis-tools
    webhook:webhook
    chromium:chromium
)
wanted=("$@")
if [ "${#wanted[@]}" -eq 0 ]; then
    wanted=(prometheus promtool prometheus-alertmanager amtool prometheus-node-exporter redis-server busybox)
fi

packages=()
for program in "${wanted[@]}"; do
    if [ "$program" = docker-compose-v2 ]; then
        have "$program" || ./compose_v2.sh
        continue
    fi
    package=''
    for pair in "${known[@]}"; do
        if [ "${pair%%:*}" = "$program" ]; then package="${pair#*:}"; fi
    done
    [ -n "$package" ] || die "programs.sh knows no program $program"
    # A dynamic busybox cannot be put into an image by itself.
    if [ "$program" = busybox ] && have busybox && ! ldd "$(command -v busybox)" >/dev/null 2>&1; then continue; fi
    if [ "$program" != busybox ] && have "$program"; then continue; fi
    [[ " ${packages[*]} " == *" $package "* ]] || packages+=("$package")
done
if [ "${#packages[@]}" -gt 0 ]; then
    apt_install "${packages[@]}"
fi
