#!/bin/sh
# Prints the table of docs/benchmarks.md from a file of bench/results, by default the newest.
# Medians over the rounds; ratios are medians of the ratios within a round.
#
#   sh bench/table.sh [FILE]
#   sh bench/table.sh --ratios en|zh [FILE]   what is compared only, in English or Chinese
#   sh bench/table.sh --write [FILE]          puts it into docs/benchmarks.md, and the ratios into
#                                             README.md and readme-zh.md
set -u
cd "$(dirname "$0")/.." || exit 1

# Puts what comes in between the two marks of a page.
put_into() # page
{
    awk '
        FNR == NR { text = text $0 "\n"; next }
        /^<!-- \/table -->/ { inside = 0 }
        !inside { print }
        /^<!-- table -->/ { inside = 1; printf "\n%s\n", text }' - "$1" >"$1.new" && mv "$1.new" "$1"
}
if [ "${1-}" = --write ]; then
    shift
    all=$(sh bench/table.sh "$@") && english=$(sh bench/table.sh --ratios en "$@") &&
        chinese=$(sh bench/table.sh --ratios zh "$@") || exit 1
    printf '%s\n' "$all" | put_into docs/benchmarks.md &&
        printf '%s\n' "$english" | put_into README.md &&
        printf '%s\n' "$chinese" | put_into readme-zh.md
    exit
fi
ratios=
if [ "${1-}" = --ratios ]; then
    ratios=${2:-en}
    shift 2
fi
file=${1:-$(ls bench/results/*.json 2>/dev/null | tail -n 1)}
[ -n "$file" ] && [ -f "$file" ] || {
    echo "bench/table.sh: no results; sh bench/compare.sh makes them" >&2
    exit 1
}

# One flat object a line: "name":value pairs without commas inside.
exec awk -v ratios="$ratios" '
function field(name,    at, rest) {
    at = index($0, "\"" name "\":")
    if (!at)
        return ""
    rest = substr($0, at + length(name) + 3)
    if (substr(rest, 1, 1) == "\"")
        return substr(rest, 2, index(substr(rest, 2), "\"") - 1)
    match(rest, /^[-0-9.e+]*/)
    return substr(rest, 1, RLENGTH)
}
function median(list,    n, i, j, v, swap) {
    n = split(list, v, " ")
    for (i = 2; i <= n; i++)
        for (j = i; j > 1 && v[j] + 0 < v[j - 1] + 0; j--) {
            swap = v[j]; v[j] = v[j - 1]; v[j - 1] = swap
        }
    return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
function all(server, name, what,    list, r) {
    list = ""
    for (r = 1; r <= rounds; r++)
        if ((server, name, r, what) in value)
            list = list " " value[server, name, r, what]
    return list
}
function ratio(name, other, what,    list, r, a, b) {
    list = ""
    for (r = 1; r <= rounds; r++) {
        a = value["ringcask", name, r, what]
        b = value[other, name, r, what]
        if (a > 0 && b > 0)
            list = list " " a / b
    }
    return median(list)
}
function row(server, name) {
    if (all(server, name, "rate") == "")
        return
    printf "| %s | %s | %.0f | ", title[name], server, median(all(server, name, "rate"))
    if (all(server, name, "p50_ms") == "")
        printf "| | "
    else
        printf "%.3f | %.3f | ", median(all(server, name, "p50_ms")), median(all(server, name, "p99_ms"))
    printf "%.1f |\n", median(all(server, name, "cpu_us"))
}
function target(what, text, got, atleast, goal, less) {
    met = less ? got <= atleast : got >= atleast
    printf "| %s | %.2f%s | %s%s | %s | %s |\n", say(what), got, text, less ? "≤ " : "", atleast, goal,
        say(met ? "yes" : "no")
}
# In the language that was asked for.
function say(text)
{
    return ratios == "zh" && text in chinese ? chinese[text] : text
}
BEGIN {
    chinese["SET, 50 clients, to redis-always"] = "SET，50 个客户端，与 redis-always 之比"
    chinese["SET, pipeline 16, to redis-always"] = "SET，管道 16，与 redis-always 之比"
    chinese["GET, 50 clients, to redis-always"] = "GET，50 个客户端，与 redis-always 之比"
    chinese["GET, pipeline 16, to redis-always"] = "GET，管道 16，与 redis-always 之比"
    chinese["SET latency (p50), 1 client, to redis-always"] = "SET 延迟（p50），1 个客户端，与 redis-always 之比"
    chinese["GET latency (p50), 1 client, to redis-always"] = "GET 延迟（p50），1 个客户端，与 redis-always 之比"
    chinese["writes, to etcd"] = "写入，与 etcd 之比"
    chinese["CPU of all servers, SET, pipeline 16"] = "所有服务器的 CPU，每次 SET，管道 16"
    chinese["CPU of all servers, GET, pipeline 16"] = "所有服务器的 CPU，每次 GET，管道 16"
    chinese["measured"] = "测得"; chinese["at least"] = "至少"; chinese["goal"] = "目标"
    chinese["met"] = "达到"; chinese["yes"] = "是"; chinese["no"] = "否"
    order = "set-p1 set-p16 get-p1 get-p16 set-c1 get-c1 write-1k write-1k-15000"
    title["set-p1"] = "SET, 50 clients"; title["set-p16"] = "SET, 50 clients, pipeline 16"
    title["get-p1"] = "GET, 50 clients"; title["get-p16"] = "GET, 50 clients, pipeline 16"
    title["set-c1"] = "SET, 1 client"; title["get-c1"] = "GET, 1 client"
    title["write-1k"] = "write 256 + 1,024 B, 1,000 clients"
    title["write-1k-15000"] = "the same, 15,000/s offered"
}
{
    r = field("round") + 0
    rounds = r > rounds ? r : rounds
    split("rate p50_ms p99_ms mean_ms cpu_us", names, " ")
    for (i in names) {
        v = field(names[i])
        if (v != "")
            value[field("server"), field("case"), r, names[i]] = v + 0
    }
    cores = field("cores"); cpu = field("cpu"); kernel = field("kernel")
    day = substr(field("date"), 1, 10); commit = field("commit")
}
END {
    if (ratios == "zh")
        print cores " 核 " cpu "，Linux " kernel "，" day "，提交 " commit "；" rounds " 轮的中位数。"
    else
        print cores " cores of " cpu ", Linux " kernel ", " day ", commit " commit "; medians of " rounds " rounds."
    print ""
    print "| | " say("measured") " | " say("at least") " | " say("goal") " | " say("met") " |"
    print "|---|---|---|---|---|"
    target("SET, 50 clients, to redis-always", "", ratio("set-p1", "redis-always", "rate"), 0.6, 0.9)
    target("SET, pipeline 16, to redis-always", "", ratio("set-p16", "redis-always", "rate"), 0.6, 0.9)
    target("GET, 50 clients, to redis-always", "", ratio("get-p1", "redis-always", "rate"), 0.4, 0.6)
    target("GET, pipeline 16, to redis-always", "", ratio("get-p16", "redis-always", "rate"), 0.4, 0.6)
    target("SET latency (p50), 1 client, to redis-always", " ×", ratio("set-c1", "redis-always", "p50_ms"), 4, 2.5, 1)
    target("GET latency (p50), 1 client, to redis-always", " ×", ratio("get-c1", "redis-always", "p50_ms"), 5, 3.5, 1)
    target("writes, to etcd", " ×", ratio("write-1k", "etcd", "rate"), 12, 25)
    target("CPU of all servers, SET, pipeline 16", " µs", median(all("ringcask", "set-p16", "cpu_us")), 9, 5, 1)
    target("CPU of all servers, GET, pipeline 16", " µs", median(all("ringcask", "get-p16", "cpu_us")), 5, 3, 1)
    if (ratios != "")
        exit
    print ""
    print "| load | server | op/s | p50 ms | p99 ms | CPU µs/op |"
    print "|---|---|---|---|---|---|"
    count = split(order, names, " ")
    for (i = 1; i <= count; i++) {
        row("ringcask", names[i]); row("redis-always", names[i])
        row("redis-memory", names[i]); row("etcd", names[i])
    }
}' "$file"
