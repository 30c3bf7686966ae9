# A container that falls ill on purpose (busybox ash). From the environment, each a list with one
# value per life of the container, the last of which holds for all further lives:
#   HEALTHY      seconds until it is well, or "-" for never: the file /tmp/healthy says so
#   QUIET        seconds without anything of what follows, at the beginning of a life
#   EXIT         status to end with, or "-" to live on, or "oom" to end of a child's hunger
#   MEGABYTES    memory to grow to, quickly, and then to hold
#   MILLICORES   CPU to use, measured by its own CPU clock; more than the limit is "all it may use"
# and, for all lives:
#   STUBBORN     seconds that it goes on for after it was told to end
# The file /tmp/quiet ends all use of CPU (docker exec … touch /tmp/quiet).
trap 'sleep "${STUBBORN:-0}"; exit 0' TERM

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

rm -f /tmp/healthy
pick ${HEALTHY:-0}
case "$picked" in
-) ;;
0) : >/tmp/healthy ;;
*) { sleep "$picked"; : >/tmp/healthy; } & ;;
esac

pick ${QUIET:-0}
if [ "$picked" != 0 ]; then sleep "$picked"; fi

pick ${EXIT:--}
case "$picked" in
-) ;;
oom)
    # Not this process itself: where the engine hears of its end before it hears why, it never
    # says why (20.10, seldom, on a busy machine).
    tail /dev/zero
    sleep 1
    exit 137
    ;;
*) exit "$picked" ;;
esac

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
