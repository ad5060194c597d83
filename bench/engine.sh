#!/bin/sh
# Compares the embedded engine with RocksDB, LevelDB and LMDB in one run and puts the tables into
# docs/benchmarks.md; the same as lines of JSON goes to bench/results/engine. Installs what is
# missing. The disk needs room for some 20 GB.
#
#   sh bench/engine.sh                       5 million keys, values of 100 B and of 1 KiB
#   sh bench/engine.sh 100:5000000 1024:1000000:ringcask,lmdb     SIZE:KEYS[:NAMES] each
#   write=no dir=FOLDER seconds=10 wear=100 sh bench/engine.sh …    prints the tables only; where
#                                                                    files go; see ring-bench
set -u
cd "$(dirname "$0")/.." || exit 1
dir=${dir:-/var/tmp}
seconds=${seconds:-10}
wear=${wear:-100}
[ $# -gt 0 ] || set -- 100:5000000 1024:5000000

sh cli/packages.sh bench || exit 1
cmake --preset release >/dev/null && cmake --build build/release --target ring-bench >/dev/null ||
    exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
for run in "$@"; do
    IFS=: read -r size keys names <<EOF
$run
EOF
    build/release/bin/ring-bench engine --values "$size" --keys "$keys" \
        ${names:+--only "$names"} --seconds "$seconds" --wear "$wear" --dir "$dir" --results "$work/results" \
        >>"$work/tables" || exit 1
    echo >>"$work/tables"
done
cat "$work/tables"
[ "${write:-yes}" = yes ] || exit 0

mkdir -p bench/results/engine
name=$(date -u +%Y%m%d-%H%M%S)-$(git rev-parse --short=12 HEAD)
cp "$work/results" "bench/results/engine/$name.json"
{
    echo '```'
    sed -e :a -e '/^\n*$/{$d;N;ba' -e '}' "$work/tables"
    echo '```'
} >"$work/block"
awk '
    FNR == NR { text = text $0 "\n"; next }
    /^<!-- \/engine -->/ { inside = 0 }
    !inside { print }
    /^<!-- engine -->/ { inside = 1; printf "\n%s\n", text }' \
    "$work/block" docs/benchmarks.md >"$work/page" && cp "$work/page" docs/benchmarks.md
