#!/bin/sh
# Lists the suites of tests/run.sh as "name|command", long ones first.
asan=build/asan/bin
tsan=build/tsan/bin
release=build/release/bin
# Scenarios that take long by waiting: beside the others.
members=balance,tickets,grow,reshape,rounds,attack,upgrade
faults=oneway,slowdisk

if [ -x "$release/sim" ]; then
    echo "sim.seeds|$release/sim --seeds 1..500"
    [ -f tests/sim/seeds.txt ] && echo "sim.regressions|sh tests/sim/regressions.sh $release/sim"
fi
[ -x build/mutants/bin/sim ] &&
    echo "sim.mutants|sh tests/sim/mutants.sh build/mutants/bin/sim build/kill-table.md"
if [ -x "$release/process_test" ]; then
    echo "process.release|$release/process_test --skip $members,$faults"
    echo "process.members|$release/process_test --scenario $members"
    echo "process.faults|$release/process_test --scenario $faults"
fi
# Of what only measures, or repeats with other numbers, one build is enough; and tsan looks at those
# in which threads meet.
[ -x "$asan/process_test" ] &&
    echo "process.asan|$asan/process_test --short \
--skip keys,wear,files,balance,bench,idle,$faults"
[ -x "$tsan/process_test" ] &&
    echo "process.tsan|$tsan/process_test --short \
--scenario kill,stop,all,router,behind,demo,gossip,flush,sealed,rotate,tickets,grow,rounds"
[ -f tests/docs/tour_test.sh ] && echo "docs.tour|sh tests/docs/tour_test.sh"
echo "lint|sh tests/lint.sh"
[ -f build/release/storage/libringcask-storage.a ] &&
    echo "docs.embedding|sh tests/docs/embedding_test.sh"
for test in "$asan"/tests/*_test; do
    [ -x "$test" ] && echo "unit.$(basename "$test" _test)|$test --timeout 120"
done
for test in "$tsan"/tests/*_tsan; do
    [ -x "$test" ] && echo "tsan.$(basename "$test" _tsan)|$test"
done
for test in "$asan"/fuzz/*; do
    [ -x "$test" ] && echo "fuzz.$(basename "$test")|$test"
done
true
