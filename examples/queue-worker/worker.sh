#!/bin/sh
# Takes jobs from a list in Redis, one after the other. Any number of these may run side by side:
# each job goes to whoever asks first, so another instance has its share at once.
#
#   jobs           list: what is to be done
#   doing:NAME     list: the job that worker NAME has taken and not finished
#   alive:NAME     gone a while after worker NAME is
#   done           hash: worker -> finished jobs
#
# A job is forgotten only when it is finished. One whose worker has gone meanwhile goes back to `jobs`
# and is done by another worker, perhaps for the second time: jobs must bear that.
set -u

me="$(hostname)"
# How much work a job is.
work="${WORK:-2000}"
# Seconds; longer than the longest job takes.
patience="${PATIENCE:-60}"
ended=''
# As process 1 it gets no default handler: the job in hand is finished, then it ends.
trap 'ended=yes' TERM INT

redis() { redis-cli -e --raw -h "${QUEUE_HOST:-queue}" "$@"; }

# What dead workers have left goes back to the others.
take_back() {
    for list in $(redis --scan --pattern 'doing:*'); do
        if [ "$(redis EXISTS "alive:${list#doing:}")" = 0 ]; then
            redis LMOVE "$list" jobs LEFT RIGHT >/dev/null
        fi
    done
}

# Forgotten and counted, or neither.
finish="redis.call('DEL', KEYS[1]) redis.call('HINCRBY', KEYS[2], ARGV[1], 1)"

# The work itself: your program here.
do_job() {
    i=0
    while [ "$i" -lt "$work" ]; do i=$((i + 1)); done
}

until redis PING >/dev/null || [ -n "$ended" ]; do sleep 1; done
# What an earlier life of this very worker has left: nobody else takes it while this one is alive.
redis LMOVE "doing:$me" jobs LEFT RIGHT >/dev/null
turn=0
while [ -z "$ended" ]; do
    if [ $((turn % 10)) -eq 0 ]; then
        redis SET "alive:$me" yes EX "$patience" >/dev/null || { sleep 1; continue; }
        take_back
    fi
    turn=$((turn + 1))
    job="$(redis BLMOVE jobs "doing:$me" RIGHT LEFT 2)" || { sleep 1; continue; }
    if [ -z "$job" ]; then continue; fi
    do_job "$job"
    redis EVAL "$finish" 2 "doing:$me" done "$me" >/dev/null
done
