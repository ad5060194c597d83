#!/bin/sh
# Compares Ringcask with what one would take instead, on this machine, in one run:
#   ringcask      3 nodes and a router, every write on the disks of a majority
#   redis-always  one redis-server, appendfsync always: as durable as one disk is
#   redis-memory  one redis-server without persistence
#   etcd          3 members, as they are by default
# All listen on loopback and keep their data in one temporary directory on the disk of this
# checkout. Rounds go through all servers in turn, so that what disturbs the machine disturbs all.
# Each measurement is a line of bench/results/*.json; bench/table.sh makes the table of it.
#
#   sh bench/compare.sh            about five minutes
#   sh bench/compare.sh --quick    about one
#
# Only processes that were started here are ended, by number.
set -u
top=$(cd "$(dirname "$0")/.." && pwd) || exit 1
cd "$top" || exit 1
. bench/lib.sh
rounds=3
seconds=3
etcd_seconds=10
for word in "$@"; do
    case $word in
    --quick) rounds=1 seconds=1 etcd_seconds=4 ;;
    *)
        echo "usage: sh bench/compare.sh [--quick]" >&2
        exit 2
        ;;
    esac
done

sh cli/packages.sh bench || exit 1
build ringcask ring-admin ring-bench

mkdir -p bench/results
open_dir

# --- servers ----------------------------------------------------------------------------------
port=$((21000 + $$ % 20000))
resp_port=$port
always_port=$((port + 1))
memory_port=$((port + 2))

"$bin/ringcask" demo --dir "$dir/ringcask" --resp "127.0.0.1:$resp_port" \
    >"$dir/demo.out" 2>"$dir/demo.log" &
started $!

start_redis() # name port options...
{
    mkdir "$dir/$1"
    name=$1
    own_port=$2
    shift 2
    redis-server --port "$own_port" --bind 127.0.0.1 --dir "$dir/$name" --save "" "$@" \
        >"$dir/$name.log" 2>&1 &
    started $!
    echo $! >"$dir/$name.pid"
}
start_redis redis-always "$always_port" --appendonly yes --appendfsync always
start_redis redis-memory "$memory_port" --appendonly no

etcd_urls=
etcd_members=
for i in 1 2 3; do
    etcd_urls="$etcd_urls${etcd_urls:+,}http://127.0.0.1:$((port + 10 + i))"
    etcd_members="$etcd_members${etcd_members:+,}e$i=http://127.0.0.1:$((port + 20 + i))"
done
for i in 1 2 3; do
    etcd --name "e$i" --data-dir "$dir/etcd-$i" --log-level error \
        --listen-client-urls "http://127.0.0.1:$((port + 10 + i))" \
        --advertise-client-urls "http://127.0.0.1:$((port + 10 + i))" \
        --listen-peer-urls "http://127.0.0.1:$((port + 20 + i))" \
        --initial-advertise-peer-urls "http://127.0.0.1:$((port + 20 + i))" \
        --initial-cluster "$etcd_members" >"$dir/etcd-$i.log" 2>&1 &
    started $!
    echo $! >"$dir/etcd-$i.pid"
done
export ETCDCTL_API=3 ETCDCTL_ENDPOINTS="$etcd_urls"

wait_for() # what command...
{
    what=$1
    shift
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || {
            tail -n 5 "$dir"/*.log >&2
            die "$what did not start"
        }
        sleep 0.1
    done
}
wait_for ringcask grep -q '^ready ' "$dir/demo.out"
wait_for redis-always redis-cli -p "$always_port" ping
wait_for redis-memory redis-cli -p "$memory_port" ping
wait_for etcd etcdctl endpoint health

pid_files() # server
{
    case $1 in
    ringcask) ls "$dir"/ringcask/node-*.pid "$dir"/ringcask/router.pid ;;
    etcd) ls "$dir"/etcd-*.pid ;;
    *) echo "$dir/$1.pid" ;;
    esac
}
port_of() # server
{
    case $1 in
    ringcask) echo "$resp_port" ;;
    redis-always) echo "$always_port" ;;
    redis-memory) echo "$memory_port" ;;
    esac
}

# Processor time of all processes of a server so far, microseconds.
tick_us=$((1000000 / $(getconf CLK_TCK)))
cpu_us() # server
{
    for file in $(pid_files "$1"); do
        sed 's/.*) //' "/proc/$(cat "$file")/stat"
    done | awk -v tick="$tick_us" '{ sum += $12 + $13 } END { printf "%d", sum * tick }'
}

# --- measurements -----------------------------------------------------------------------------
results=bench/results/$(date -u +%Y%m%d-%H%M%S)-$commit.json

put() # server case round fields
{
    printf '{"date":"%s","commit":"%s","kernel":"%s","cpu":"%s","cores":%s,"server":"%s",' \
        "$stamp" "$commit" "$kernel" "${cpu:-unknown}" "$cores" "$1" >>"$results"
    printf '"case":"%s","round":%s,%s}\n' "$2" "$3" "$4" >>"$results"
}

redis_benchmark() # server command clients pipeline count
{
    redis-benchmark -h 127.0.0.1 -p "$(port_of "$1")" -t "$2" -c "$3" -P "$4" -n "$5" \
        -d 100 -r 100000 --csv 2>"$dir/benchmark.log" | tail -n 1 | tr -d '"'
}

# How many requests take about so long: asked with a tenth of a guess, which warms up, too.
calibrate() # server case command clients pipeline
{
    few=$((200 * $4 * $5))
    [ "$few" -ge 1000 ] || few=1000
    line=$(redis_benchmark "$1" "$3" "$4" "$5" "$few")
    count=$(echo "$line" | awk -F, -v s="$seconds" -v unit="$(($4 * $5))" \
        '{ n = int($2 * s / unit) * unit; if (n < unit * 10) n = unit * 10; print n }')
    [ -n "$count" ] || die "redis-benchmark gave nothing for $1: $(cat "$dir/benchmark.log")"
    echo "$count" >"$dir/count-$1-$2"
}

measure() # server case command clients pipeline round
{
    count=$(cat "$dir/count-$1-$2")
    before=$(cpu_us "$1")
    line=$(redis_benchmark "$1" "$3" "$4" "$5" "$count")
    after=$(cpu_us "$1")
    fields=$(echo "$line" | awk -F, -v n="$count" -v cpu=$((after - before)) -v c="$4" -v p="$5" '
        NF >= 8 { printf "\"clients\":%d,\"pipeline\":%d,\"operations\":%d,\"rate\":%.1f,", c, p, n, $2
                  printf "\"mean_ms\":%s,\"p50_ms\":%s,\"p99_ms\":%s,\"max_ms\":%s,", $3, $5, $7, $8
                  printf "\"cpu_us\":%.2f", cpu / n }')
    [ -n "$fields" ] || die "redis-benchmark gave nothing for $1: $(cat "$dir/benchmark.log")"
    put "$1" "$2" "$6" "$fields"
}

servers="ringcask redis-always redis-memory"
cases="set-p1,set,50,1 get-p1,get,50,1 set-p16,set,50,16 get-p16,get,50,16 set-c1,set,1,1
       get-c1,get,1,1"
each_case() # function round
{
    for row in $cases; do
        IFS=, read -r case_name command clients pipeline <<ROW
$row
ROW
        for server in $servers; do
            "$1" "$server" "$case_name" "$command" "$clients" "$pipeline" $2
        done
    done
}

# etcd's own load, and the same of ours: 1,000 clients, 15,000 writes a second offered, keys of 256
# and values of 1,024 bytes. What etcd did is read from its revision.
revision()
{
    etcdctl endpoint status -w json 2>/dev/null | sed 's/.*"revision":\([0-9]*\).*/\1/'
}
measure_etcd() # round
{
    etcdctl del --prefix /etcdctl-check-perf/ >/dev/null 2>&1 # it starts on none only
    etcdctl check perf --load=xl >"$dir/check.log" 2>&1 &
    check=$!
    started $check
    sleep 2
    from=$(revision)
    cpu_from=$(cpu_us etcd)
    sleep "$etcd_seconds"
    to=$(revision)
    cpu_to=$(cpu_us etcd)
    kill $check 2>/dev/null
    wait $check 2>/dev/null
    pids=${pids#"$check "}
    [ "$to" -gt "$from" ] || die "etcd wrote nothing: $(cat "$dir/check.log")"
    put etcd write-1k "$1" "$(awk -v n=$((to - from)) -v s="$etcd_seconds" \
        -v cpu=$((cpu_to - cpu_from)) 'BEGIN {
        printf "\"clients\":1000,\"pipeline\":1,\"operations\":%d,\"rate\":%.1f,", n, n / s
        printf "\"cpu_us\":%.2f", n ? cpu / n : 0 }')"
}
# Fields that table.sh reads out of ring-bench's line: times are in microseconds there.
bench_fields()
{
    sed 's/.*"achieved":\([0-9.]*\).*"all":{\(.*\)}},"cpu_us":\([0-9.]*\).*/achieved \1 cpu \3 \2/' |
        tr ',:' '  ' | tr -d '"' | awk '{ for (i = 1; i < NF; i += 2) v[$i] = $(i + 1)
            printf "\"clients\":1000,\"pipeline\":1,\"operations\":%d,\"rate\":%.1f,", v["count"], v["achieved"]
            printf "\"mean_ms\":%.3f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,", v["mean"] / 1000,
                v["p50"] / 1000, v["p99"] / 1000, v["max"] / 1000
            printf "\"cpu_us\":%.2f", v["cpu"] }'
}
measure_like_etcd() # case rate round
{
    list=$(pid_files ringcask | tr '\n' ',')
    "$bin/ring-bench" load --resp "127.0.0.1:$resp_port" --workload set --clients 1000 \
        --keys 1000000 --key-size 256 --value-size 1024 --no-fill --warmup 1 \
        --seconds "$etcd_seconds" --rate "$2" --pids "${list%,}" -o json >"$dir/bench.json" ||
        die "ring-bench failed"
    put ringcask "$1" "$3" "$(bench_fields <"$dir/bench.json")"
}

echo "warming up" >&2
each_case calibrate ""
round=1
while [ $round -le $rounds ]; do
    echo "round $round of $rounds" >&2
    each_case measure "$round"
    measure_etcd "$round"
    measure_like_etcd write-1k 0 "$round"
    measure_like_etcd write-1k-15000 15000 "$round"
    round=$((round + 1))
done
sh bench/table.sh "$results"
echo "kept in $results" >&2
