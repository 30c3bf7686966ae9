#!/usr/bin/env bash
# Makes the tokens and passwords once; never overwrites one.
#
# The directory keeps everybody else on this machine out (0700); the files inside are readable (0644),
# because each is mounted by itself into containers whose users are not yours.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$here/common.sh"

dir="${RELEVO_SECRETS_DIR:-${here%/airgap}/secrets}"
mkdir -p "$dir"
chmod 0700 "$dir"

make_once() { # NAME VALUE
    if [ -s "$dir/$1" ]; then return; fi
    # Written whole or not at all, and never with another file's mode.
    (umask 022 && printf '%s' "$2" >"$dir/.$1.new" && mv "$dir/.$1.new" "$dir/$1")
    say "made $dir/$1"
}
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }

make_once relevo_token_ingest "$(random)"
make_once relevo_token_read "$(random)"
make_once relevo_token_operate "$(random)"
make_once relevo_token_admin "$(random)"
# Relevo is a user of its own in Redis. An address from before that was so is ours to make anew; one
# that somebody has put there leads to a Redis of his own.
if grep -qsE '^redis://:[0-9a-f]{64}@redis:6379/0$' "$dir/relevo_redis_url"; then
    rm -f "$dir/relevo_redis_url" "$dir/redis_conf"
fi
make_once relevo_redis_url "redis://relevo:$(random)@redis:6379/0"
# Redis is told the hash of that password, and what Relevo may do, which this version knows best.
password="$(sed -nE 's|^redis://relevo:([0-9a-f]{64})@redis:6379/0$|\1|p' "$dir/relevo_redis_url")"
hash="$(printf %s "${password:-$(random)}" | { sha256sum 2>/dev/null || shasum -a 256; } | cut -c1-64)"
users="$(sed -n "s/#PASSWORD/#$hash/; /^user /p" "${here%/airgap}/redis/users.acl")"
if [ -z "$password" ] && [ -s "$dir/redis_acl" ]; then
    : # nobody knows that password: no reason to make the server start anew each time
elif [ "$users" != "$(cat "$dir/redis_acl" 2>/dev/null)" ]; then
    rm -f "$dir/redis_acl"
    make_once redis_acl "$users"$'\n'
fi
make_once grafana_password "$(random)"
# Who Relevo is in that Grafana, and where; each character of the password as %xx.
make_once relevo_grafana_url \
    "http://admin:$(od -An -v -tx1 "$dir/grafana_password" | tr -d '\n' | tr ' ' '%')@grafana:3000"
# Alertmanager wants a URL here before anybody has a webhook. This one is Alertmanager's own address
# without a page: each message to Slack fails once with a 404 in its log, and nothing leaves the host.
make_once slack_url 'http://127.0.0.1:9093/no-slack-webhook-is-set'
