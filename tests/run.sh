#!/bin/sh
# Installs what is missing, builds, and runs every test. One line a suite - how long it took and how
# much of the processors - and a closing line "N passed, N failed". What a suite printed stays in
# build/test-results/.
#
#   sh tests/run.sh            everything
#   sh tests/run.sh unit lint  only suites whose line contains one of the words
set -u
cd "$(dirname "$0")/.." || exit 1
results=$PWD/build/test-results
jobs=$(nproc)
# No checks, but how AddressSanitizer handles large pieces of memory: by default it unmaps and maps the
# shadow of each, which was a third of the system's time in the suites of storage.
ASAN_OPTIONS=clear_shadow_mmap_threshold=1073741824:allocator_release_to_os_interval_ms=-1
# What ThreadSanitizer cannot see, with the reasons.
TSAN_OPTIONS=suppressions=$PWD/tests/process/tsan.txt:atexit_sleep_ms=0
export results ASAN_OPTIONS TSAN_OPTIONS

sh cli/packages.sh test || exit 1
rm -rf "$results"
mkdir -p "$results"
: >"$results/passed"
: >"$results/failed"
: >"$results/listed"
begin=$(date +%s)

launcher=
command -v ccache >/dev/null 2>&1 && launcher=-DCMAKE_C_COMPILER_LAUNCHER=ccache

# build PRESET [WORDS of cmake --build]: then lists its suites, which run while the next is built.
build()
{
    preset=$1
    shift
    if ! { cmake --preset "$preset" $launcher &&
        cmake --build --preset "$preset" -j "$jobs" "$@"; } >"$results/build-$preset.log" 2>&1
    then
        echo "FAIL  build.$preset" >&3
        tail -n 40 "$results/build-$preset.log" >&3
        echo "build.$preset" >>"$results/failed"
        return 1
    fi
    echo "built $preset after $(($(date +%s) - begin)) s" >&3
    if ! sh tests/suites.sh "$preset" >"$results/suites" || [ ! -s "$results/suites" ]; then
        echo "FAIL  suites.$preset: tests/suites.sh does not list them" >&3
        echo "suites.$preset" >>"$results/failed"
        return 1
    fi
    grep -F -e "$words" "$results/suites" | tee -a "$results/listed" | tr '\n' '\0'
}

# Four builds of the same sources: asan runs the suites, release the simulator and the processes,
# tsan what has threads, mutants the planted bugs. Processes first: they wait more than they work,
# and the builds fill the gaps. Short ones last, so that all cores end together.
build_all()
{
    build tsan --target tsan &&
        build release && # as the README has it: all but the unit tests, which the asan build has
        build mutants --target sim &&
        build asan
}

run_one='
    name=${1%%|*}; command=${1#*|}; log=$results/$name.log
    begin=$(date +%s)
    # One that hangs fails, and all that it started is ended. That is a process group of its own, which
    # hears of an interrupt from here; what a shell puts behind "&" would ignore it.
    env --default-signal=INT,QUIT timeout -k 10 900 sh -c "$command" >"$log" 2>&1 </dev/null &
    trap "kill $!" INT TERM
    wait $!
    code=$?
    [ $code -ne 124 ] || echo "# did not end within 15 minutes" >>"$log"
    seconds=$(($(date +%s) - begin))
    # Of all that it started and waited for: the second line, as "1m2.500000s 0m0.250000s".
    times >"$log.times"
    cpu=$(tail -n 1 "$log.times" | tr "ms" "  " | awk "{ print int((\$1 + \$3) * 60 + \$2 + \$4 + 0.5) }")
    rm -f "$log.times"
    # No exit code tells of a leak in a Criterion test: the reports of the sanitizers decide.
    awk -f tests/faults/faults.awk "$log" >"$log.faults" || code=1
    what=$(grep -E "^(# |\[====\] Synthesis: )" "$log" | tail -n 1 |
        sed -e "s/^# //" -e "s/^\[====\] Synthesis: //")
    if [ $code -eq 0 ]; then
        printf "ok    %-34s %4ss %4ss cpu  %s\n" "$name" "$seconds" "$cpu" "$what"
        echo "$name" >>"$results/passed"
    else
        printf "FAIL  %-34s %4ss %4ss cpu  %s\n" "$name" "$seconds" "$cpu" "$what"
        echo "$name" >>"$results/failed"
        { grep -vE "^\[(----|RUN|PASS)" "$log" | tail -n 40; head -n 10 "$log.faults"; } |
            sed "s/^/      /"
    fi
    exit 0
'
words=$(printf '%s\n' "$@") # one a line, as grep wants them; an empty one fits all
exec 3>&1
build_all | xargs -0 -r -n 1 -P $((2 * jobs + 1)) sh -c "$run_one" run_one
# One whose shell was killed has said nothing.
sed 's/|.*//' "$results/listed" | while read -r name; do
    grep -qxF -e "$name" "$results/passed" "$results/failed" || {
        echo "FAIL  $name did not end"
        echo "$name" >>"$results/failed"
    }
done
times >"$results/times"

# What this machine does not permit was not tested: said here once more.
grep -H '^skip ' "$results"/*.log | sed "s,^$results/\(.*\)\.log:skip *,SKIPPED in \1: ,"
passed=$(wc -l <"$results/passed")
failed=$(wc -l <"$results/failed")
[ $((passed + failed)) -gt 0 ] || echo "no suite has such a name"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
