#!/bin/sh
# Measures what a join costs, on this machine, in one run: three nodes and a router under YCSB-B at
# half of what they can do, and a fourth node that joins.
#   quiet, during   p99 of clients, and their longest update (which bounds the pause of a hand-over);
#                   "during" is the worst window of four seconds. Also afterwards, when four nodes
#                   share the machine that three had
#   moves, copy     MiB/s of replicas that move while no client asks, three times as many keys, so
#                   that the plan and its ends do not count for much; and of a file that is copied
#                   through a socket (ring-bench copy). Beside it the processor time of both for a
#                   MiB: a copy has the machine for two threads, moves share it between four nodes
#   bytes           received by a node that joins while no client asks, to the live bytes it is due
#   detection       from kill -9 until gossip holds the node dead; re-election: the longest gap that
#                   any client has, over many kills
# Prints tables for docs/benchmarks.md; each figure is a line of bench/results/join/*.json.
#
#   sh bench/join.sh            about four minutes
#   sh bench/join.sh --quick    about one
#
# Only processes that were started here are ended, by number.
set -u
top=$(cd "$(dirname "$0")/.." && pwd) || exit 1
cd "$top" || exit 1
. bench/lib.sh
keys=200000
idle_keys=600000
seconds=15
kills=30
fast=100000 # MiB/s: no budget at all
for word in "$@"; do
    case $word in
    --quick) keys=30000 idle_keys=90000 seconds=4 kills=5 ;;
    *)
        echo "usage: sh bench/join.sh [--quick]" >&2
        exit 2
        ;;
    esac
done

command -v ss >/dev/null || die "ss is needed (package iproute2)"
build ringcask ring-admin ring-bench process_test

mkdir -p build bench/results/join
# Four nodes' copies of 1,000 B, their journals and casks, and as much again while flush is at work.
needed=$((idle_keys * 16))
[ "$(df -Pk build | awk 'NR == 2 { print $4 }')" -gt $needed ] ||
    die "build/ needs $((needed / 1024)) MiB of free disk"
open_dir

# --- figures ----------------------------------------------------------------------------------
results=bench/results/join/$(date -u +%Y%m%d-%H%M%S)-$commit.json

put() # name value
{
    [ -n "$2" ] || die "no figure for $1"
    printf '{"date":"%s","commit":"%s","kernel":"%s","cpu":"%s","cores":%s,"name":"%s","value":%s}\n' \
        "$stamp" "$commit" "$kernel" "${cpu:-unknown}" "$cores" "$1" "$2" >>"$results"
}
got() # name -> its value
{
    sed -n "s/.*\"name\":\"$1\",\"value\":\\([-0-9.e+]*\\)}/\\1/p" "$results" | tail -n 1
}
# A number of a JSON document, by its name: the first of that name.
number() # file name
{
    tr -d '\n ' <"$1" | awk -v name="\"$2\":" '{
        at = index($0, name)
        if (at && match(substr($0, at + length(name)), /^[-0-9.e+]+/))
            print substr($0, at + length(name), RLENGTH) }'
}
# A number of an object of ring-bench's line. Times there are microseconds.
of() # file object name
{
    tr -d '\n ' <"$1" | sed -n "s/.*\"$2\":{\\([^{}]*\\)}.*/,\\1,/p" |
        sed -n "s/.*,\"$3\":\\([0-9.]*\\),.*/\\1/p"
}
now_ms()
{
    date +%s%3N
}

# --- the cluster ------------------------------------------------------------------------------
resp=127.0.0.1:$((21000 + $$ % 20000))
"$bin/ringcask" demo --dir "$dir/ringcask" --resp "$resp" >"$dir/demo.out" 2>"$dir/demo.log" &
started $!
tries=0
until grep -q '^ready ' "$dir/demo.out"; do
    tries=$((tries + 1))
    [ $tries -lt 300 ] || die "the demo does not get ready: $(tail -n 5 "$dir/demo.log")"
    sleep 0.1
done
export RINGCASK_TICKET="$dir/ringcask/cluster.ticket"
RINGCASK_SEEDS=$(cat "$dir"/ringcask/node-1.address),$(cat "$dir"/ringcask/node-2.address)
export RINGCASK_SEEDS

admin() # words...
{
    "$bin/ring-admin" "$@" >"$dir/admin.out" 2>"$dir/admin.err" ||
        die "ring-admin $*: $(cat "$dir/admin.out" "$dir/admin.err")"
}
load() # file seconds options...
{
    file=$1
    duration=$2
    shift 2
    "$bin/ring-bench" load --resp "$resp" --workload b --clients 50 --keys "$keys" \
        --value-size 1000 --seconds "$duration" -o json "$@" >"$file" || die "ring-bench failed"
}
# Starts a node that joins, and waits until it is known. Its number: $dir/NAME.pid
join() # name
{
    mkfifo "$dir/$1.out"
    "$bin/ringcask" node --ticket "$RINGCASK_TICKET" --data "$dir/$1" --listen 127.0.0.1:0 \
        --join "$RINGCASK_SEEDS" >"$dir/$1.out" 2>"$dir/$1.log" &
    started $!
    echo $! >"$dir/$1.pid"
    read -r line <"$dir/$1.out" || die "$1: $(tail -n 3 "$dir/$1.log")"
    echo "${line#listening }" | cut -d ' ' -f 1 >"$dir/$1.address"
    tries=0
    until admin members && grep -q joining "$dir/admin.out"; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || die "$1 does not join: $(tail -n 3 "$dir/$1.log")"
        sleep 0.1
    done
}
# Bytes that a process has received over its connections.
received() # pid
{
    ss -tinp | awk -v pid="pid=$1," '
        /^[A-Z]/ { ours = index($0, pid) > 0; next }
        ours && match($0, /bytes_received:[0-9]+/) {
            sum += substr($0, RSTART + 15, RLENGTH - 15)
        }
        END { printf "%d", sum }'
}

# Seconds of processor that all nodes have used, one that joined included.
worked() # name
{
    for pid in $(cat "$dir"/ringcask/node-*.pid "$dir/$1.pid"); do
        sed 's/.*) //' "/proc/$pid/stat"
    done | awk -v ticks="$(getconf CLK_TCK)" '{ sum += $12 + $13 } END { print sum / ticks }'
}

echo "peak and half of it" >&2
load "$dir/peak.json" "$((seconds / 3 + 1))" --warmup 1
put peak "$(number "$dir/peak.json" achieved)"
rate=$(got peak | awk '{ printf "%d", $1 / 2 }')
load "$dir/quiet.json" "$seconds" --no-fill --rate "$rate"
put quiet_p99_ms "$(of "$dir/quiet.json" all p99 | awk '{ print $1 / 1000 }')"
put quiet_update_max_ms "$(of "$dir/quiet.json" update max | awk '{ print $1 / 1000 }')"

echo "a join under load" >&2
join node-4
(
    begin=$(now_ms)
    "$bin/ring-admin" commit --auto --wait -o json >"$dir/commit.json" 2>"$dir/commit.err"
    echo "$? $(($(now_ms) - begin))" >"$dir/commit.end"
) &
window=0
while [ ! -e "$dir/commit.end" ]; do
    window=$((window + 1))
    load "$dir/during-$window.json" 4 --no-fill --warmup 0 --rate "$rate"
done
wait $! 2>/dev/null
read -r code took <"$dir/commit.end"
[ "$code" = 0 ] || die "commit: $(cat "$dir/commit.json" "$dir/commit.err")"
put join_under_load_s "$(awk -v ms="$took" 'BEGIN { print ms / 1000 }')"
put moves "$(number "$dir/commit.json" moves)"
put moves_least "$(number "$dir/commit.json" moves_least)"
for i in $(seq "$window"); do
    of "$dir/during-$i.json" all p99
done | sort -n | tail -n 1 >"$dir/worst"
put during_p99_ms "$(awk '{ print $1 / 1000 }' "$dir/worst")"
for i in $(seq "$window"); do
    of "$dir/during-$i.json" update max
done | sort -n | tail -n 1 >"$dir/worst"
put during_update_max_ms "$(awk '{ print $1 / 1000 }' "$dir/worst")"

load "$dir/after.json" "$seconds" --no-fill --warmup 1 --rate "$rate"
put after_p99_ms "$(of "$dir/after.json" all p99 | awk '{ print $1 / 1000 }')"

echo "a join while nobody asks" >&2
admin leave "$(cat "$dir/node-4.address")" --wait
loaded=$keys
keys=$idle_keys
load "$dir/fill.json" 1 --warmup 0
# What was filled, and what the leave moved, is to be on the disk and at rest.
sync
sleep 10
admin moves --rate "$fast"
join node-5
admin plan -o json
due=$(number "$dir/admin.out" bytes)
[ -n "$due" ] && [ "$due" -gt 0 ] || die "the plan names no bytes"
before=$(received "$(cat "$dir/node-5.pid")")
worked_before=$(worked node-5)
begin=$(now_ms)
admin commit --auto --wait
took=$(($(now_ms) - begin))
worked_after=$(worked node-5)
after=$(received "$(cat "$dir/node-5.pid")")
put due_bytes "$due"
put received_bytes "$((after - before))"
put moves_mib_s "$(awk -v b="$due" -v ms="$took" 'BEGIN { print b / 1048576 / (ms / 1000) }')"
put moves_cpu_ms_mib "$(awk -v b="$due" -v from="$worked_before" -v to="$worked_after" \
    'BEGIN { print (to - from) * 1000 / (b / 1048576) }')"
"$bin/ring-bench" copy --dir "$dir" -o json >"$dir/copy.json" || die "ring-bench copy failed"
put copy_mib_s "$(number "$dir/copy.json" value)"
grep '"case":"CPU of it"' "$dir/copy.json" >"$dir/copy-cpu.json"
put copy_cpu_ms_mib "$(number "$dir/copy-cpu.json" value)"

echo "$kills kills" >&2
kill "$(cat "$dir/node-5.pid")" 2>/dev/null
"$bin/process_test" --scenario gossip >"$dir/gossip.out" || die "$(cat "$dir/gossip.out")"
put detection_ms "$(sed -n 's/^ok .*held dead after \([0-9]*\) ms.*/\1/p' "$dir/gossip.out")"
"$bin/process_test" --scenario kill --rounds "$kills" >"$dir/kill.out" || die "$(cat "$dir/kill.out")"
put election_longest_ms "$(sed -n 's/^ok .*longest gap \([0-9]*\) ms, mean.*/\1/p' "$dir/kill.out")"
put election_mean_ms "$(sed -n 's/^ok .* mean \([0-9]*\) ms.*/\1/p' "$dir/kill.out")"

# --- the table --------------------------------------------------------------------------------
row() # what value unit bound at-most(1)-or-at-least(0)
{
    awk -v what="$1" -v value="$2" -v unit="$3" -v bound="$4" -v most="$5" 'BEGIN {
        met = most ? value <= bound : value >= bound
        printf "| %s | %.2f%s | %s %s%s | %s |\n", what, value, unit, most ? "≤" : "≥", bound, unit,
            met ? "yes" : "no" }'
}
ratio() # a b
{
    awk -v a="$(got "$1")" -v b="$(got "$2")" 'BEGIN { print (b > 0 ? a / b : 0) }'
}
plain() # what value unit
{
    printf '| %s | %s%s | | |\n' "$1" "$2" "$3"
}
echo "$cores cores of ${cpu:-unknown}, Linux $kernel, ${stamp%T*}, commit $commit; $loaded keys with values of 1,000 B," \
    "$idle_keys of them while nobody asks, 256 partitions, three replicas."
echo
echo "| | measured | bound | met |"
echo "|---|---|---|---|"
row "p99 of clients during the join, to the quiet one" "$(ratio during_p99_ms quiet_p99_ms)" " ×" 2 1
row "moves while nobody asks, to a copy through a socket" "$(ratio moves_mib_s copy_mib_s)" "" 0.6 0
row "replicas moved, to the least" "$(ratio moves moves_least)" " ×" 1.02 1
row "bytes received, to the live bytes due" "$(ratio received_bytes due_bytes)" " ×" 1.05 1
row "longest update during the join" "$(got during_update_max_ms)" " ms" 50 1
row "a killed node is held dead after" "$(got detection_ms)" " ms" 2000 1
row "longest gap of a client over $kills kills" "$(got election_longest_ms)" " ms" 1500 1
plain "offered: half of the peak" "$rate" " op/s"
plain "p99 quiet, during, with four nodes" \
    "$(got quiet_p99_ms), $(got during_p99_ms), $(got after_p99_ms)" " ms"
plain "longest update quiet" "$(got quiet_update_max_ms)" " ms"
plain "the join under load took" "$(got join_under_load_s)" " s"
plain "moves, copy" "$(got moves_mib_s), $(got copy_mib_s)" " MiB/s"
plain "moved while nobody asks" "$(got due_bytes | awk '{ printf "%d", $1 / 1048576 }')" " MiB"
plain "processor time of a MiB: moves, copy" "$(got moves_cpu_ms_mib), $(got copy_cpu_ms_mib)" " ms"
echo "kept in $results" >&2
