# Sourced by the scripts beside it: words for people, and questions about this machine.
# shellcheck shell=bash

say() { printf '%s\n' "relevo: $*" >&2; }
die() { printf '%s\n' "relevo: $*" >&2; exit 1; }
have() { command -v "$1" >/dev/null 2>&1; }

# Debian keeps servers where not everybody's PATH looks.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

as_root() { [ "$(id -u)" -eq 0 ]; }
on_debian() { [ -r /etc/debian_version ] && have apt-get; }
# Whether something starts and stops services here (systemd or sysvinit as process 1).
init_runs() {
    [ -d /run/systemd/system ] || [ "$(cat /proc/1/comm 2>/dev/null)" = init ]
}

engine_answers() {
    # `docker version` waits for long on a socket that nobody serves well.
    timeout 15 docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

# Packages, without letting Debian start what they contain as a service: policy-rc.d forbids it, and
# is put back as it was, also when this is interrupted. What runs already is left alone.
apt_install() {
    on_debian || die "cannot install $*: this is not Debian or Ubuntu. Please install them and try again."
    as_root || die "cannot install $*: not root. Run: sudo apt-get install --no-install-recommends $*"
    say "installing with apt: $*"
    local log
    log="$(mktemp)"
    if ! (
        policy=/usr/sbin/policy-rc.d
        kept=''
        if [ -e "$policy" ]; then
            kept="$(mktemp)"
            cp -p "$policy" "$kept"
        fi
        trap 'if [ -n "$kept" ]; then cp -p "$kept" "$policy"; rm -f "$kept"; else rm -f "$policy"; fi' EXIT
        trap 'exit 130' INT TERM
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 0755 "$policy"
        apt_try "$log" "$@"
    ); then
        tail -n 5 "$log" >&2
        die "apt could not install $*; the whole story is in $log"
    fi
    rm -f "$log"
}

# First with the package lists that are there; they may be missing or old, then with new ones.
apt_try() {
    local log="$1"
    shift
    local get=(apt-get --yes --quiet -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300)
    DEBIAN_FRONTEND=noninteractive "${get[@]}" install --no-install-recommends "$@" >"$log" 2>&1 && return
    "${get[@]}" update >>"$log" 2>&1 || true
    DEBIAN_FRONTEND=noninteractive "${get[@]}" install --no-install-recommends "$@" >>"$log" 2>&1
}
