#!/bin/sh
# In place of whoever makes jobs: so many each second (the key `rate` of the queue wins over RATE).
# The key `made` counts them.
set -u
redis() { redis-cli -e --raw -h "${QUEUE_HOST:-queue}" "$@"; }
trap 'exit 0' TERM INT

while :; do
    rate="$(redis GET rate)"
    rate="${rate:-$RATE}"
    if [ "$rate" -gt 0 ]; then
        # shellcheck disable=SC2046
        redis LPUSH jobs $(seq "$rate") >/dev/null && redis INCRBY made "$rate" >/dev/null
    fi
    sleep 1
done
