#!/bin/sh
# Lists the suites of tests/run.sh that need a build, as "name|command", long ones first.
# usage: sh tests/suites.sh tsan|release|mutants|asan
set -u
preset=${1:?usage: suites.sh PRESET}
bin=build/$preset/bin

# processes LONG SKIP [WORD]: a suite a scenario, those of LONG first.
processes()
{
    all=$("$bin/process_test" --list) && [ -n "$all" ] || exit 1
    for scenario in $1 $all; do
        case " $2 " in *" $scenario "*) continue ;; esac
        echo "process.$preset.$scenario|$bin/process_test ${3-} --scenario $scenario"
    done | awk '!seen[$0]++'
}

case $preset in
tsan)
    for scenario in grow tickets rounds kill behind rotate gossip all demo flush router sealed stop; do
        echo "process.tsan.$scenario|$bin/process_test --short --scenario $scenario"
    done
    for test in "$bin"/tests/*_tsan; do
        [ -x "$test" ] && echo "tsan.$(basename "$test" _tsan)|$test"
    done
    ;;
release)
    processes "grow rounds oneway tickets kill attack balance behind keys" ""
    echo "docs.tour|sh tests/docs/tour_test.sh"
    echo "sim.seeds|$bin/sim --seeds 1..300"
    echo "sim.regressions|sh tests/sim/regressions.sh $bin/sim"
    echo "docs.embedding|sh tests/docs/embedding_test.sh"
    echo "lint|sh tests/lint.sh"
    ;;
mutants)
    echo "sim.mutants|sh tests/sim/mutants.sh $bin/sim build/kill-table.md"
    ;;
asan)
    # Of what only measures, or repeats with other numbers, one build is enough.
    processes "grow rounds tickets attack behind" "keys wear files balance bench idle oneway slowdisk" \
        --short
    long="replication.shard_moves_crash storage.store_flush storage.store_crash ring.swim_sim"
    for test in $long $(basename -a -s _test "$bin"/tests/*_test); do
        echo "unit.$test|$bin/tests/${test}_test --timeout 300"
    done | awk '!seen[$0]++'
    echo "sim.asan|$bin/sim --seeds 1..30"
    echo "faults|sh tests/faults/faults_test.sh $bin/planted"
    for test in "$bin"/fuzz/*; do
        [ -x "$test" ] && echo "fuzz.$(basename "$test")|$test"
    done
    ;;
*)
    echo "suites.sh: no build is called $preset" >&2
    exit 1
    ;;
esac
true
