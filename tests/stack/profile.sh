# A container that lives as it is told (busybox ash). From the environment:
#   LIVES      one list of steps for each life, parted by "/"; the last one holds for all further
#              lives. After its steps a life goes on in idleness.
#   LIMIT      millicores that it may use
#   STUBBORN   1: the container does not hear SIGTERM, and is killed at the end of its grace
# Steps, with times in hundredths of a second:
#   burn:MILLICORES[:TIME]   use CPU, by its own clock; more than the limit is all it may use
#   rest:TIME                use nothing
#   hold:MIB                 have so much memory in use, at once
#   leak:MIB:TIME            have so much memory in use in the end, growing evenly
#   devour                   take more memory than there is
#   exit:CODE                end
#   unwell, well             what the health check finds (the file /tmp/unwell)
#   flap:TIME                unwell and well in turns, for ever
#   depend:MILLICORES        use CPU for ever, unless /tmp/repaired was there as it began
# What it does is told on stderr: `docker logs --timestamps` is the witness of what really happened.
if [ "${STUBBORN:-0}" = 1 ]; then trap '' TERM; else trap 'exit 0' TERM; fi

read -r life 2>/dev/null </tmp/lives || life=0
life=$((life + 1))
echo "$life" >/tmp/lives

say() { echo "life $life: $*" >&2; }

# Both clocks in hundredths of a second, read without starting a process: that would cost more CPU
# than what is measured.
read_clocks() {
    read -r up _ </proc/uptime
    now="${up%.*}${up#*.}"
    read -r _ _ _ _ _ _ _ _ _ _ _ _ _ user system children_user children_system _ </proc/self/stat
    used=$((user + system + children_user + children_system))
}

# A `sleep` in the foreground would keep SIGTERM waiting until its end.
rest() { # TIME
    sleep "$(($1 / 100)).$(($1 % 100 / 10))" &
    wait $!
}

# A machine that is too busy to let it burn makes it well by the rule (80%): told, as "starved".
burn() { # MILLICORES TIME
    read_clocks
    began=$now
    spent=$used
    looked=$now
    had=$used
    due=$1
    if [ "$due" -gt "$LIMIT" ]; then due=$LIMIT; fi
    while [ "$2" = 0 ] || [ $((now - began)) -lt "$2" ]; do
        read_clocks
        # In three seconds, since the clock ticks in hundredths of one.
        if [ $((now - looked)) -ge 300 ]; then
            got=$(((used - had) * 1000 / (now - looked)))
            if [ $((got * 100)) -lt $((due * 80)) ]; then say "starved: $got of $due"; fi
            looked=$now
            had=$used
        fi
        if [ $(((used - spent) * 1000)) -ge $(((now - began) * $1)) ]; then
            sleep 0.1
            continue
        fi
        i=0
        while [ "$i" -lt 500 ]; do i=$((i + 1)); done
    done
}

# In a tmpfs, which counts as the container's memory, costs next to no CPU, and is empty again
# after a restart.
hold() { # MIB
    head -c "$(($1 * 1048576))" /dev/zero >/memory/held
}

leak() { # MIB TIME
    read_clocks
    began=$now
    held=0
    while [ "$held" -lt "$1" ]; do
        read_clocks
        if [ $((held * $2)) -le $(((now - began) * $1)) ]; then
            head -c 1048576 /dev/zero >>/memory/held
            held=$((held + 1))
        else
            sleep 0.1
        fi
    done
}

flap() { # TIME
    while :; do
        : >/tmp/unwell
        rest "$1"
        rm -f /tmp/unwell
        rest "$1"
    done
}

# The steps of this life.
steps=${LIVES:-}
n=1
while [ "$n" -lt "$life" ]; do
    case "$steps" in */*) steps=${steps#*/} ;; esac
    n=$((n + 1))
done
steps=${steps%%/*}
rm -f /tmp/unwell

for step in $steps; do
    say "$step"
    IFS=:
    # shellcheck disable=SC2086 # split on purpose
    set -- $step
    unset IFS
    case "$1" in
        burn) burn "$2" "${3:-0}" ;;
        rest) rest "$2" ;;
        hold) hold "$2" ;;
        leak) leak "$2" "$3" ;;
        # One buffer, which the kernel fills with zeros: killed at once, without burning CPU first.
        devour) exec dd if=/dev/zero of=/dev/null bs=512M ;;
        exit) exit "$2" ;;
        unwell) : >/tmp/unwell ;;
        well) rm -f /tmp/unwell ;;
        flap) flap "$2" ;;
        depend) if [ ! -e /tmp/repaired ]; then burn "$2" 0; fi ;;
        *) say "no such step" && exit 64 ;;
    esac
done
say "idle"
while :; do rest 6000; done
