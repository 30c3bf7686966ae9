#!/usr/bin/env bash
# Runs a command with everything that the tests and the demo are made of: a Docker engine, the
# programs, the images.
#   with-lab.sh COMMAND...
#   KEEP=1        leave an engine running that was started for this
# What cannot be had is said in one line; the command then finds out what that means for it (the
# tests skip by name, or fail where RELEVO_TEST_REQUIRE insists).
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$here/common.sh"
[ $# -gt 0 ] || die "usage: with-lab.sh COMMAND..."

# Everybody who uses the engine holds this lock; who ends last stops it, if it is ours to stop.
state="${RELEVO_ENGINE_STATE:-/run/relevo}"
users="$state/users.lock"
if { mkdir -p "$state" && exec 9>"$users"; } 2>/dev/null; then
    flock --shared 9
    trap leave EXIT
fi
# shellcheck disable=SC2329
leave() {
    if [ "${KEEP:-0}" != 1 ] && [ -e "$state/dockerd.pid" ] && flock --exclusive --nonblock 9; then
        # In CI the last word is the command's own: its summary is what is read there.
        if [ "${CI:-}" = true ]; then exec >/dev/null 2>&1; fi
        "$here/engine.sh" stop || true
    fi
}

# (An engine that inherited the lock would hold it for ever.)
"$here/programs.sh" 9>&- || say "going on without"
if "$here/engine.sh" 9>&-; then
    "$here/images.sh" 9>&- || say "going on without"
else
    say "going on without Docker"
fi

# Not `exec`: the engine is stopped after it. Ctrl-C reaches the command by itself.
status=0
trap : INT TERM
"$@" 9>&- || status=$?
exit "$status"
