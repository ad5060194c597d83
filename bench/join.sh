#!/bin/sh
# Measures what a join costs, on this machine, in one run: three nodes and a router under YCSB-B at
# half of what they can do, and a fourth node that joins.
#   quiet, during   p99 of clients, and their longest update (which bounds the pause of a hand-over);
#                   "during" is the worst window of four seconds. Also afterwards, when four nodes
#                   share the machine that three had
#   moves, copy     MiB/s of replicas that move while no client asks, in a cluster of their own with
#                   three times as many keys, so that the plan and its ends do not count for much; and
#                   of a file that is copied through a socket (ring-bench copy), beside that cluster,
#                   before and after: what memory and disk give varies from minute to minute. Beside it
#                   the processor time of both for a MiB: a copy has the machine for two threads, moves
#                   share it between four nodes. Once more with values of 16,000 B, where records
#                   count for little. What has moved is what the new node's casks hold
#   bytes           received by that node, to what its casks hold
#   detection       from kill -9 until gossip holds the node dead; re-election: the longest gap that
#                   any client has, over many kills
# Prints tables for docs/benchmarks.md; each figure is a line of bench/results/join/*.json.
#
#   sh bench/join.sh            about five minutes
#   sh bench/join.sh --quick    about one
#
# Only processes that were started here are ended, by number.
set -u
top=$(cd "$(dirname "$0")/.." && pwd) || exit 1
cd "$top" || exit 1
. bench/lib.sh
keys=200000
idle_keys=600000
large_keys=80000
seconds=15
kills=30
fast=100000 # MiB/s: no budget at all
for word in "$@"; do
    case $word in
    --quick) keys=30000 idle_keys=90000 large_keys=12000 seconds=4 kills=5 ;;
    *)
        echo "usage: sh bench/join.sh [--quick]" >&2
        exit 2
        ;;
    esac
done

command -v ss >/dev/null || die "ss is needed (package iproute2)"
build ringcask ring-admin ring-bench process_test

mkdir -p build bench/results/join
# Four nodes' copies of 16,000 B, their journals and casks, and as much again while flush is at work.
needed=$((large_keys * 16 * 16 + 4 * 1024 * 1024)) # and four files of the copy
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
# Starts three nodes and a router in $home, a folder of that name, and waits until they serve. What is
# started, the load and ring-admin below are for the cluster that was started last.
cluster() # name
{
    home=$dir/$1
    clusters=$((clusters + 1))
    resp=127.0.0.1:$((21000 + $$ % 20000 + clusters))
    "$bin/ringcask" demo --dir "$home" --resp "$resp" >"$home.out" 2>"$home.log" &
    demo=$!
    started $demo
    tries=0
    until grep -q '^ready ' "$home.out"; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || die "the demo does not get ready: $(tail -n 5 "$home.log")"
        sleep 0.1
    done
    RINGCASK_TICKET=$home/cluster.ticket
    RINGCASK_SEEDS=$(cat "$home/node-1.address"),$(cat "$home/node-2.address")
    export RINGCASK_TICKET RINGCASK_SEEDS
}
# Ends the cluster and the node that has joined it, and removes its data.
cluster_end() # name of the node
{
    for pid in $(cat "$dir/$1.pid") $demo; do
        kill "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
        ended "$pid"
    done
    rm -rf "$home" "${dir:?}/$1"
}

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
        --value-size "$value_size" --seconds "$duration" -o json "$@" >"$file" || die "ring-bench failed"
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
        END { printf "%.0f", sum }'
}

# Bytes of the casks of a node.
held() # name
{
    find "$dir/$1" -name '*.cask' -printf '%s\n' | awk '{ sum += $1 } END { printf "%.0f", sum }'
}
# Seconds of processor that all nodes have used, one that joined included.
worked() # name
{
    for pid in $(cat "$home"/node-*.pid "$dir/$1.pid"); do
        sed 's/.*) //' "/proc/$pid/stat"
    done | awk -v ticks="$(getconf CLK_TCK)" '{ sum += $12 + $13 } END { print sum / ticks }'
}

clusters=0
value_size=1000
cluster loaded
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

cluster_end node-4
loaded=$keys

# What the machine gives to a copy at this moment: FIGURE_mib_s and FIGURE_cpu_ms_mib.
copy() # figure
{
    "$bin/ring-bench" copy --dir "$home" -o json >"$dir/copy.json" || die "ring-bench copy failed"
    put "$1_mib_s" "$(number "$dir/copy.json" value)"
    grep '"case":"CPU of it"' "$dir/copy.json" >"$dir/copy-cpu.json"
    put "$1_cpu_ms_mib" "$(number "$dir/copy-cpu.json" value)"
}

# A cluster of its own, and a node that joins it while nobody asks.
join_idle() # name keys value-size
{
    echo "a join while nobody asks: $2 keys with values of $3 B" >&2
    keys=$2
    value_size=$3
    cluster "$1"
    load "$dir/fill.json" 1 --warmup 0
    # What was filled is to be on the disk and at rest; what the copy has freed is, too.
    sync
    sleep 5
    copy "$1_copy_before"
    sleep 10
    admin moves --rate "$fast"
    join "$1-new"
    pid=$(cat "$dir/$1-new.pid")
    before=$(received "$pid")
    worked_before=$(worked "$1-new")
    begin=$(now_ms)
    admin commit --auto --wait
    took=$(($(now_ms) - begin))
    worked_after=$(worked "$1-new")
    after=$(received "$pid")
    bytes=$(held "$1-new")
    [ "$bytes" -gt 0 ] || die "the casks of $1-new hold nothing"
    copy "$1_copy_after"
    put "$1_bytes" "$bytes"
    put "$1_received_bytes" "$((after - before))"
    put "$1_moves_mib_s" "$(awk -v b="$bytes" -v ms="$took" 'BEGIN { print b / 1048576 / (ms / 1000) }')"
    put "$1_moves_cpu_ms_mib" "$(awk -v b="$bytes" -v from="$worked_before" -v to="$worked_after" \
        'BEGIN { print (to - from) * 1000 / (b / 1048576) }')"
    cluster_end "$1-new"
}
join_idle small "$idle_keys" 1000
join_idle large "$large_keys" 16000

echo "$kills kills" >&2
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
# Moves to the mean of the copies before and after them.
to_copy() # figure
{
    awk -v moves="$(got "$1_moves_mib_s")" -v before="$(got "$1_copy_before_mib_s")" \
        -v after="$(got "$1_copy_after_mib_s")" 'BEGIN { print 2 * moves / (before + after) }'
}
plain() # what value unit
{
    printf '| %s | %s%s | | |\n' "$1" "$2" "$3"
}
echo "$cores cores of ${cpu:-unknown}, Linux $kernel, ${stamp%T*}, commit $commit; $loaded keys with values of 1,000 B," \
    "$idle_keys of them, or $large_keys with values of 16,000 B, while nobody asks; 256 partitions, three replicas."
echo
echo "| | measured | bound | met |"
echo "|---|---|---|---|"
row "p99 of clients during the join, to the quiet one" "$(ratio during_p99_ms quiet_p99_ms)" " ×" 2 1
row "moves while nobody asks, to a copy through a socket" "$(to_copy small)" "" 0.6 0
row "the same with values of 16,000 B" "$(to_copy large)" "" 0.6 0
row "replicas moved, to the least" "$(ratio moves moves_least)" " ×" 1.02 1
row "bytes received, to what has moved" "$(ratio small_received_bytes small_bytes)" " ×" 1.05 1
row "the same with values of 16,000 B" "$(ratio large_received_bytes large_bytes)" " ×" 1.05 1
row "longest update during the join" "$(got during_update_max_ms)" " ms" 50 1
row "a killed node is held dead after" "$(got detection_ms)" " ms" 2000 1
row "longest gap of a client over $kills kills" "$(got election_longest_ms)" " ms" 1500 1
plain "offered: half of the peak" "$rate" " op/s"
plain "p99 quiet, during, with four nodes" \
    "$(got quiet_p99_ms), $(got during_p99_ms), $(got after_p99_ms)" " ms"
plain "longest update quiet" "$(got quiet_update_max_ms)" " ms"
plain "the join under load took" "$(got join_under_load_s)" " s"
plain "moves; the copy before, after" \
    "$(got small_moves_mib_s); $(got small_copy_before_mib_s), $(got small_copy_after_mib_s)" " MiB/s"
plain "with values of 16,000 B" \
    "$(got large_moves_mib_s); $(got large_copy_before_mib_s), $(got large_copy_after_mib_s)" " MiB/s"
plain "moved while nobody asks" \
    "$(got small_bytes | awk '{ printf "%d", $1 / 1048576 }'), $(got large_bytes |
        awk '{ printf "%d", $1 / 1048576 }')" " MiB"
plain "processor time of a MiB: moves; the copies" \
    "$(got small_moves_cpu_ms_mib); $(got small_copy_before_cpu_ms_mib), $(got small_copy_after_cpu_ms_mib)" " ms"
plain "the same with values of 16,000 B" \
    "$(got large_moves_cpu_ms_mib); $(got large_copy_before_cpu_ms_mib), $(got large_copy_after_cpu_ms_mib)" " ms"
echo "kept in $results" >&2
