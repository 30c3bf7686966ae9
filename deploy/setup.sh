#!/usr/bin/env bash
# The project's own Python environment: hash-locked requirements and the relevo command.
set -euo pipefail

cd "$(dirname "$0")/.."
venv=${1:-.venv}

die() { echo "setup: $*" >&2; exit 1; }

python=
for candidate in python3.13 python3.12 python3.11 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || die "Python 3.11 or later is needed (Debian: apt-get install python3 python3-venv)"

# Debian ships venv apart from Python.
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "setup: installing python3-venv"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
    else
        die "$python has no venv module (Debian: apt-get install python3-venv)"
    fi
fi

# A folder that was copied or moved holds the old path in its scripts.
if ! "$venv/bin/python" -c 'import sys; sys.exit(sys.prefix == sys.base_prefix)' 2>/dev/null; then
    echo "setup: making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
fi
echo "setup: installing the locked requirements"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --require-hashes -r requirements-dev.lock
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    --no-deps --no-build-isolation --editable .
echo "setup: ready, $("$venv/bin/relevo" --version)"
