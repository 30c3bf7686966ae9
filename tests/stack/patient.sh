# A container that falls ill on purpose (busybox ash). From the environment, each a list with one
# value per life of the container, the last of which holds for all further lives:
#   MILLICORES   CPU to use, measured by its own CPU clock; more than the limit is "all it may use"
#   QUIET        seconds without any use at the beginning of a life
#   MEGABYTES    memory to grow to, quickly, and then to hold
# The file /tmp/quiet ends all use of CPU (docker exec … touch /tmp/quiet).
trap 'exit 0' TERM

read -r life 2>/dev/null </tmp/lives || life=0
life=$((life + 1))
echo "$life" >/tmp/lives

pick() { # LIST...: the value of this life
    if [ "$life" -lt "$#" ]; then shift $((life - 1)); else shift $(($# - 1)); fi
    picked=$1
}
# Both clocks in hundredths of a second, read without starting a process: that would cost more CPU
# than what is measured.
read_clocks() {
    read -r up _ </proc/uptime
    now="${up%.*}${up#*.}"
    read -r _ _ _ _ _ _ _ _ _ _ _ _ _ user system children_user children_system _ </proc/self/stat
    used=$((user + system + children_user + children_system))
}

pick ${QUIET:-0}
if [ "$picked" != 0 ]; then sleep "$picked"; fi

pick ${MEGABYTES:-0}
if [ "$picked" -gt 0 ]; then
    chunk=$(head -c 1048576 /dev/zero | tr '\0' x)
    i=0
    while [ "$i" -lt "$picked" ]; do
        eval "kept_$i=\$chunk"
        i=$((i + 1))
    done
fi

pick ${MILLICORES:-0}
read_clocks
began=$now
spent=$used
while :; do
    # A `sleep` is a process and costs two milliseconds: seldom, where nothing is to be burnt.
    if [ "$picked" = 0 ] || [ -e /tmp/quiet ]; then
        sleep 0.3
        continue
    fi
    read_clocks
    if [ $(((used - spent) * 1000)) -ge $(((now - began) * picked)) ]; then
        sleep 0.1
        continue
    fi
    i=0
    while [ "$i" -lt 1000 ]; do i=$((i + 1)); done
done
