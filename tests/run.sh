#!/bin/sh
# Installs what is missing, builds, and runs every test. One line a suite, and a closing line
# "N passed, N failed". What a suite printed stays in build/test-results/.
#
#   sh tests/run.sh            everything
#   sh tests/run.sh unit lint  only suites whose line contains one of the words
set -u
cd "$(dirname "$0")/.." || exit 1
results=$PWD/build/test-results
jobs=$(nproc)
# Criterion's own memory is not ours to free.
LSAN_OPTIONS=suppressions=$PWD/tests/lsan.txt:print_suppressions=0
# What ThreadSanitizer cannot see, with the reasons.
TSAN_OPTIONS=suppressions=$PWD/tests/process/tsan.txt:atexit_sleep_ms=0
export results LSAN_OPTIONS TSAN_OPTIONS

sh cli/packages.sh test || exit 1
rm -rf "$results"
mkdir -p "$results"

# Four builds of the same sources: asan runs the suites, release the simulator and the processes,
# tsan what has threads, mutants the planted bugs.
build()
{
    preset=$1
    shift
    cmake --preset "$preset" $launcher >"$results/build-$preset.log" 2>&1 &&
        cmake --build --preset "$preset" -j "$jobs" "$@" >>"$results/build-$preset.log" 2>&1 &&
        return 0
    echo "FAIL  build.$preset"
    tail -n 40 "$results/build-$preset.log"
    echo "0 passed, 1 failed"
    exit 1
}
launcher=
command -v ccache >/dev/null 2>&1 && launcher=-DCMAKE_C_COMPILER_LAUNCHER=ccache
# Not the unit tests: each would be optimised as a whole program, and runs in the asan build.
build release --target ringcask ring-admin ring-bench sim process_test \
    ringcask_storage ringcask_storage_shared
build asan
build tsan --target tsan
build mutants --target sim

# A suite is "name|command". Long ones first, so that all cores end together; one more at a time than
# there are cores, as many wait for the clock or the disk.
suites=$results/suites
sh tests/suites.sh >"$suites"
if [ $# -gt 0 ]; then
    for word in "$@"; do
        grep -F -- "$word" "$suites"
    done | awk '!seen[$0]++' >"$suites.some"
    mv "$suites.some" "$suites"
fi
if [ ! -s "$suites" ]; then
    echo "no suite has such a name"
    exit 1
fi

run_one='
    name=${1%%|*}; command=${1#*|}; log=$results/$name.log
    begin=$(date +%s)
    sh -c "$command" >"$log" 2>&1 </dev/null
    code=$?
    seconds=$(($(date +%s) - begin))
    # A leak found by LeakSanitizer does not fail a Criterion test: look for its word.
    if [ $code -eq 0 ] && grep -qE "LeakSanitizer|ThreadSanitizer|runtime error:" "$log"; then
        code=1
    fi
    what=$(grep -E "^(# |\[====\] Synthesis: )" "$log" | tail -n 1 |
        sed -e "s/^# //" -e "s/^\[====\] Synthesis: //")
    if [ $code -eq 0 ]; then
        printf "ok    %-34s %4ss  %s\n" "$name" "$seconds" "$what"
        echo "$name" >>"$results/passed"
    else
        printf "FAIL  %-34s %4ss  %s\n" "$name" "$seconds" "$what"
        echo "$name" >>"$results/failed"
        grep -vE "^\[(----|RUN|PASS)" "$log" | tail -n 40 | sed "s/^/      /"
    fi
    exit 0
'
: >"$results/passed"
: >"$results/failed"
tr '\n' '\0' <"$suites" | xargs -0 -n 1 -P $((jobs + 1)) sh -c "$run_one" run_one

# What this machine does not permit was not tested: said here once more.
grep -H '^skip ' "$results"/*.log | sed "s,^$results/\(.*\)\.log:skip *,SKIPPED in \1: ,"
passed=$(wc -l <"$results/passed")
failed=$(wc -l <"$results/failed")
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
