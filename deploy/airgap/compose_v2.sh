#!/usr/bin/env bash
# Builds Docker Compose v2, which Debian 12 does not have, and installs it as docker-compose-v2.
# With Go, from its module; some minutes, and 1.5 GB that are gone afterwards.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./common.sh

VERSION=v2.40.3
MODULE=github.com/docker/compose/v2
target="${1:-/usr/local/bin/docker-compose-v2}"

have go || die "Docker Compose v2 is built with Go, which is not installed here"
[ -w "$(dirname "$target")" ] || die "cannot write to $(dirname "$target"); as root: sudo $PWD/compose_v2.sh"
say "building Docker Compose $VERSION with $(go env GOVERSION)"
work="$(mktemp -d)"
# Go makes what it has downloaded read-only.
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
export GOPATH="$work/path" GOCACHE="$work/cache"
cd "$work"
# As a dependency: `go install MODULE@VERSION` refuses a module that excludes others.
if ! {
    go mod init relevo.invalid/compose
    go get "$MODULE/cmd@$VERSION"
    go build -trimpath -ldflags "-s -w -X $MODULE/internal.Version=$VERSION" -o compose "$MODULE/cmd"
} >log 2>&1; then
    tail -n 5 log >&2
    die "Docker Compose v2 could not be built"
fi
install -m 0755 compose "$target"
say "installed $target: $("$target" version --short)"
