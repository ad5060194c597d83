#!/bin/sh
# Runs every mutant until a seed kills it and writes docs/kill-table.md.
# usage: sh tests/sim/mutants.sh [PATH-OF-SIM] [OUTPUT]
# PATH-OF-SIM is built with -DRINGCASK_MUTANTS=ON (preset `mutants`); it is built when not given.
# Bound: 2,000 seeds and 240 s a mutant. Exit: 0 all killed, 1 one survived or a core died without
# saying of which assertion, 2 it could not be built.
#
# With an OUTPUT other than docs/kill-table.md (the suite) the seed which that table names is tried
# first.
set -u
limit=240
root=$(cd "$(dirname "$0")/../.." && pwd)
sim=${1:-$root/build/mutants/bin/sim}
out=${2:-$root/docs/kill-table.md}
cd "$root" || exit 2
if [ $# -eq 0 ]; then
    cmake --preset mutants >/dev/null && cmake --build build/mutants --target sim >/dev/null || exit 2
fi
[ -x "$sim" ] || { echo "mutants.sh: no simulator at $sim" >&2; exit 2; }
table=$(mktemp) || exit 2
trap 'rm -f "$table" "$table.run" "$table.seeds"' EXIT
"$sim" --list-mutants >"$table" || exit 2

{
    cat <<'HEAD'
# Kill table

Each line is a known protocol bug that can be switched on in a build with `-DRINGCASK_MUTANTS=ON`
(preset `mutants`, `sim --mutant N`), the systems that really had it, and the first seed, from 1 on, in
which the simulator noticed. `sh tests/sim/mutants.sh` writes this file; a mutant that survives 2,000
seeds or 240 s fails the suite. Times are of two processes on two cores and vary with the machine; seeds
do not. How the simulator works: [simulator.md](simulator.md).

| # | mutant | what goes wrong | had by | seed | s | how it was noticed |
|--:|--------|-----------------|--------|-----:|--:|--------------------|
HEAD
} >"$table.run"

# Of which assertion a core died, and in which function: the line of the C library begins with the
# program's name, whatever that is. Nothing when it died of something else.
asserted() {
    said=$(printf '%s\n' "$1" | sed -n 's/^.* of Assertion .\(.*\). failed\.; see its message above$/\1/p')
    in=$(grep -F "Assertion \`$said' failed." "$table.seeds" |
        sed -n 's/^.*: \([A-Za-z0-9_]*\): Assertion .*/\1/p' | head -n 1)
    [ -z "$said" ] || [ -z "$in" ] || printf 'assertion in %s: `%s`\n' "$in" "$said"
}

passed=0
failed=0
while IFS="$(printf '\t')" read -r number name what systems; do
    begin=$(date +%s.%N)
    known=
    if [ "$out" != "$root/docs/kill-table.md" ]; then
        known=$(sed -n "s/^| $number |[^|]*|[^|]*|[^|]*| \\([0-9]*\\) |.*/\\1/p" \
            "$root/docs/kill-table.md")
    fi
    [ -n "$known" ] &&
        timeout "$limit" "$sim" --seeds "$known..$known" --mutant "$number" >"$table.seeds" 2>&1
    grep -q "^FAILED seed" "$table.seeds" 2>/dev/null && [ -n "$known" ] ||
        timeout "$limit" "$sim" --seeds 1..2000 --mutant "$number" --jobs 2 >"$table.seeds" 2>&1
    end=$(date +%s.%N)
    took=$(awk "BEGIN { printf \"%.1f\", $end - $begin }")
    first=$(sed -n 's/^FAILED seed \([0-9]*\): .*/\1/p' "$table.seeds" | sort -n | head -n 1)
    if [ -n "$first" ]; then
        how=$(sed -n "s/^FAILED seed $first: \(t=[0-9.]*s \)\{0,1\}//p" "$table.seeds" | head -n 1)
        case $how in
        'a core died'*) how=$(asserted "$how") ;;
        esac
    fi
    if [ -n "$first" ] && [ -z "$how" ]; then
        echo "FAIL mutant $number $name: seed $first died without a reason"
        failed=$((failed + 1))
        printf '| %s | %s | %s | %s | %s | %s | **died without a reason** |\n' "$number" "$name" \
            "$what" "$systems" "$first" "$took" >>"$table.run"
    elif [ -n "$first" ]; then
        echo "ok   mutant $number $name: killed by seed $first in $took s"
        passed=$((passed + 1))
        printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$number" "$name" "$what" "$systems" "$first" \
            "$took" "$(echo "$how" | tr '|' '/')" >>"$table.run"
    else
        echo "FAIL mutant $number $name: survived $took s"
        failed=$((failed + 1))
        printf '| %s | %s | %s | %s | - | %s | **survived** |\n' "$number" "$name" "$what" "$systems" \
            "$took" >>"$table.run"
    fi
done <"$table"
cp "$table.run" "$out" || exit 2
echo "# $passed killed, $failed survived"
[ "$failed" -eq 0 ]
