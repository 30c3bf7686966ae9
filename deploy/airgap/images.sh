#!/usr/bin/env bash
# Makes every image of compose.yaml available: pulled where a registry can be reached, else made here
# from Debian's own programs under the very same name, so that the very same compose.yaml runs.
# Then builds Relevo's image.
#   images.sh                   all of that
#   images.sh workload          only relevo-busybox:1 (the tests' sick containers)
#   images.sh python            only Python's
#   images.sh examples/NAME     only those of one folder of examples/
#   RELEVO_AIRGAP=1             do not even try to pull
# What is there already is kept; the second run takes a second or two.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
. "$here/common.sh"
root="${here%/deploy/airgap}"
compose="$root/deploy/compose.yaml"

work="$(mktemp -d "${TMPDIR:-/var/tmp}/relevo-images.XXXXXX")"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

named() { grep -hoE "image: $1:[^ ]+" "$compose" "$root"/examples/*/compose.yaml | sed -n 1p | cut -d' ' -f2; }
python_image="${PYTHON_IMAGE:-$(sed -n 's/^ARG PYTHON_IMAGE=//p' "$root/deploy/Dockerfile")}"
build_image=relevo-build-base:local

# An image that has lost its name to a newer one, and that nothing uses any more.
retire() { # ID IMAGE
    if [ -n "$1" ] && [ "$1" != "$(id_of "$2")" ]; then docker image rm "$1" >/dev/null 2>&1 || true; fi
}
id_of() { docker image inspect --format '{{.Id}}' "$1" 2>/dev/null || true; }
present() { docker image inspect "$1" >/dev/null 2>&1; }
# The recipe that a stand-in was made by; empty for an image from a registry.
recipe_of() { docker image inspect --format '{{index .Config.Labels "relevo.standin"}}' "$1" 2>/dev/null || true; }

# Whether a registry can be reached: found out once, with the smallest image.
reachable=''
can_pull() {
    if [ -z "$reachable" ]; then
        reachable=no
        if [ "${RELEVO_AIRGAP:-0}" != 1 ]; then
            if timeout 30 docker pull --quiet "$(named prom/node-exporter)" >/dev/null 2>&1; then
                reachable=yes
            else
                say "no image registry can be reached: making stand-ins from Debian's programs"
            fi
        fi
    fi
    [ "$reachable" = yes ]
}
# Present (and, if it is a stand-in, made by today's recipe), or pulled just now.
there() { # IMAGE RECIPE
    if present "$1"; then
        case "$(recipe_of "$1")" in '' | '<no value>' | "$2") return 0 ;; esac
        return 1
    fi
    can_pull && timeout 900 docker pull --quiet "$1" >/dev/null
}

# A program with the libraries it names, under the path it has in the real image.
put() { # ROOT PROGRAM PATH
    local program library
    program="$(command -v "$2")" || die "the program $2 is missing (airgap/programs.sh)"
    install -D -m 0755 "$program" "$1$3"
    { ldd "$program" 2>/dev/null || true; } | grep -oE '/[^ ]+' | while read -r library; do
        mkdir -p "$1$(dirname "$library")"
        cp -L "$library" "$1$library"
    done
}
# What the real images have beside their program: a shell with its tools, users, CA certificates.
furnish() { # ROOT
    mkdir -p "$1/bin" "$1/etc/ssl/certs" "$1/tmp" "$1/root" "$1/run"
    chmod 1777 "$1/tmp"
    cp "$(command -v busybox)" "$1/bin/busybox"
    local applet
    for applet in $(busybox --list); do
        [ -e "$1/bin/$applet" ] || ln -s busybox "$1/bin/$applet"
    done
    printf '%s\n' 'root:x:0:0:root:/root:/bin/sh' 'redis:x:999:1000::/data:/bin/false' \
        'nobody:x:65534:65534:nobody:/:/bin/false' >"$1/etc/passwd"
    printf '%s\n' 'root:x:0:' 'redis:x:1000:' 'nobody:x:65534:' 'nogroup:x:65534:' >"$1/etc/group"
    if [ -r /etc/ssl/certs/ca-certificates.crt ]; then
        cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
    fi
}
import() { # ROOT IMAGE RECIPE OWNER DATA_DIR CHANGE...
    local root="$1" image="$2" recipe="$3" owner="$4" data="$5" changes=() change old
    shift 5
    for change in "$@" "LABEL relevo.standin=$recipe"; do
        changes+=(--change "$change")
    done
    if [ -n "$data" ]; then
        mkdir -p "$root$data"
        # Everything belongs to root but the data folder, whoever runs this.
        tar -C "$root" --numeric-owner --owner=0 --group=0 --exclude=".$data" -cf "$root.tar" .
        tar -C "$root" --numeric-owner --owner="${owner%:*}" --group="${owner#*:}" -rf "$root.tar" ".$data"
    else
        tar -C "$root" --numeric-owner --owner=0 --group=0 -cf "$root.tar" .
    fi
    old="$(id_of "$image")"
    docker import "${changes[@]}" "$root.tar" "$image" >/dev/null
    retire "$old" "$image"
    rm -rf "$root" "$root.tar"
    say "made $image"
}
# Changes when this script or one of the programs does.
recipe() { # PROGRAM...
    local program
    { sha256sum "$here/images.sh" | cut -c1-64
      for program in "$@" busybox; do stat -Lc '%s %Y' "$(command -v "$program" || echo /)"; done
    } | sha256sum | cut -c1-12
}

# Debian's programs look for their pages and templates in folders of Debian's.
stand_in() { # IMAGE OWNER DATA_DIR 'PROGRAM:PATH|/FOLDER...' CHANGE...
    local image="$1" owner="$2" data="$3" parts="$4" part programs=() recipe
    shift 4
    for part in $parts; do [[ "$part" == /* ]] || programs+=("${part%%:*}"); done
    recipe="$(recipe "${programs[@]}")"
    if there "$image" "$recipe"; then return; fi
    "$here/programs.sh" "${programs[@]}" busybox
    recipe="$(recipe "${programs[@]}")"
    local dir="$work/root"
    furnish "$dir"
    for part in $parts; do
        if [[ "$part" != /* ]]; then
            put "$dir" "${part%%:*}" "${part#*:}"
        elif [ -d "$part" ]; then
            # Links lead all over Debian; the time zone tables behind one of them are 200 MB.
            tar -C / --dereference --exclude=moment-timezone/data -c ".$part" | tar -C "$dir" -x
        fi
    done
    import "$dir" "$image" "$recipe" "$owner" "$data" "$@"
}

workload() {
    # Never pulled: it is our own name. A shell with every applet, for containers that fall ill on purpose.
    local recipe
    "$here/programs.sh" busybox
    recipe="$(recipe)"
    if [ "$(recipe_of relevo-busybox:1)" = "$recipe" ]; then return; fi
    furnish "$work/busybox"
    import "$work/busybox" relevo-busybox:1 "$recipe" 0:0 '' 'CMD ["sh"]'
}

# Python under the name that the Dockerfile asks for. Clean: no trace of this host is in it.
python_base() {
    if there "$python_image" debootstrap; then return; fi
    local dir="$work/python" mirror
    if ! on_debian || ! as_root; then
        die "cannot make $python_image here (needs root on Debian); on a machine with a registry: docker save $python_image, then docker load here"
    fi
    "$here/programs.sh" debootstrap
    # The mirror that apt uses, and apt's proxy.
    # shellcheck disable=SC2016
    mirror="$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Release: bookworm' | sed -n 1p)"
    [ -n "$mirror" ] || die "cannot make $python_image: apt has no Debian bookworm source here; docker load one"
    eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
    say "making $python_image with debootstrap (about a minute, once)"
    if ! env ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
        debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
        bookworm "$dir" "$mirror" >"$work/debootstrap.log" 2>&1; then
        tail -n 5 "$work/debootstrap.log" >&2
        die "debootstrap failed: cannot make $python_image"
    fi
    rm -rf "$dir"/var/cache/apt/* "$dir"/var/lib/apt/lists/* "$dir"/usr/share/{doc,man,locale}/* \
        "$dir"/var/log/* "$dir"/etc/apt/sources.list "$dir"/etc/resolv.conf "$dir"/etc/hostname
    ln -s /usr/bin/python3 "$dir/usr/local/bin/python"
    ln -s /usr/bin/python3 "$dir/usr/local/bin/python3"
    # Not through `import`: these files have owners of their own.
    tar -C "$dir" --numeric-owner --one-file-system -c . | docker import \
        --change 'CMD ["python3"]' --change 'ENV LANG=C.UTF-8' --change 'LABEL relevo.standin=debootstrap' \
        - "$python_image" >/dev/null
    rm -rf "$dir"
    say "made $python_image"
}

build() { # IMAGE DIR ARG...
    local image="$1" dir="$2" classic=() variable old
    shift 2
    old="$(id_of "$image")"
    docker buildx version >/dev/null 2>&1 || classic=(env DOCKER_BUILDKIT=0)
    # Proxies are predefined arguments: used, and not recorded in the image.
    for variable in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
        [ -z "${!variable:-}" ] || set -- "$@" --build-arg "$variable"
    done
    if ! "${classic[@]}" docker build --network host --tag "$image" "$@" "$dir" >"$work/build.log" 2>&1; then
        tail -n 20 "$work/build.log" >&2
        die "cannot build $image"
    fi
    retire "$old" "$image"
    # The classic builder keeps its first stages as nameless images. The newest is the cache of the
    # next build; the others only fill the disk.
    docker image ls --quiet --filter dangling=true --filter label=relevo.stage=build | tail -n +2 \
        | xargs --no-run-if-empty docker image rm >/dev/null 2>&1 || true
}

relevo() {
    local dir="$work/pip" python="$root/.venv/bin/python"
    mkdir -p "$dir"
    [ -x "$python" ] || python=python3
    "$python" "$here/pip_config.py" "$dir"
    cat >"$dir/Dockerfile" <<END
FROM $python_image
COPY . /etc/relevo-build
ENV PIP_CONFIG_FILE=/etc/relevo-build/pip.conf
END
    # Same content, same time stamps: the next run finds it in the builder's cache.
    find "$dir" -exec touch -h -d @0 {} +
    build "$build_image" "$dir"
    build "${RELEVO_IMAGE:-relevo:dev}" "$root" --file "$root/deploy/Dockerfile" \
        --build-arg "PYTHON_IMAGE=$python_image" --build-arg "BUILD_IMAGE=$build_image"
    say "built ${RELEVO_IMAGE:-relevo:dev}"
}

# (Functions named as a program would hide it from `command -v`.)
redis_image() {
    stand_in "$(named redis)" 999:1000 /data \
        'redis-server:/usr/local/bin/redis-server redis-cli:/usr/local/bin/redis-cli' \
        'ENV PATH=/usr/local/bin:/usr/bin:/bin' 'WORKDIR /data' 'VOLUME /data' 'CMD ["redis-server"]' 'EXPOSE 6379'
}
haproxy_image() {
    stand_in "$(named haproxy)" 0:0 '' 'haproxy:/usr/local/sbin/haproxy' \
        'ENV PATH=/usr/local/sbin:/usr/bin:/bin' 'USER nobody' \
        'CMD ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]'
}
nginx_image() {
    stand_in "$(named nginx)" 0:0 /var/lib/nginx 'nginx:/usr/sbin/nginx' \
        'ENV PATH=/usr/sbin:/usr/bin:/bin' \
        'CMD ["nginx", "-e", "stderr", "-g", "daemon off;"]'
}
caddy_image() {
    stand_in "$(named caddy)" 0:0 /data 'caddy:/usr/bin/caddy' \
        'ENV PATH=/usr/bin:/bin' 'ENV XDG_CONFIG_HOME=/config' 'ENV XDG_DATA_HOME=/data' \
        'CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]'
}

engine_answers || die "no Docker engine answers (airgap/engine.sh)"
case "${1:-all}" in
    workload) workload; exit ;;
    python) python_base; exit ;;
    examples/queue-worker) redis_image; exit ;;
    examples/haproxy) python_base; haproxy_image; exit ;;
    examples/nginx) python_base; nginx_image; exit ;;
    examples/caddy) python_base; caddy_image; exit ;;
    all) ;;
    *) die "usage: images.sh [workload | python | examples/NAME]" ;;
esac

workload
stand_in "$(named prom/node-exporter)" 65534:65534 '' \
    'prometheus-node-exporter:/bin/node_exporter' \
    'ENTRYPOINT ["/bin/node_exporter"]' 'USER nobody' 'EXPOSE 9100'
redis_image
stand_in "$(named prom/prometheus)" 65534:65534 /prometheus \
    'prometheus:/bin/prometheus promtool:/bin/promtool /usr/share/prometheus/web' \
    'ENTRYPOINT ["/bin/prometheus"]' 'USER nobody' 'WORKDIR /prometheus' 'VOLUME /prometheus' 'EXPOSE 9090'
stand_in "$(named prom/alertmanager)" 65534:65534 /alertmanager \
    'prometheus-alertmanager:/bin/alertmanager amtool:/bin/amtool /usr/share/prometheus/alertmanager' \
    'ENTRYPOINT ["/bin/alertmanager"]' 'USER nobody' 'WORKDIR /alertmanager' 'VOLUME /alertmanager' 'EXPOSE 9093'
python_base
# No stand-in exists for Grafana; it is simply there wherever it can be had.
if [ "$reachable" = yes ] && ! present "$(named grafana/grafana)"; then
    docker pull --quiet "$(named grafana/grafana)" >/dev/null || true
fi
relevo
