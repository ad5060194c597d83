#!/bin/sh
# Are faults seen? faults.awk is shown a log of each kind, then a Criterion suite with planted faults is
# run, so that it is also known that the sanitizers look at all.
# usage: sh tests/faults/faults_test.sh PATH-OF-PLANTED (built with the preset asan)
set -u
planted=${1:?usage: faults_test.sh PATH-OF-PLANTED}
judge=$(cd "$(dirname "$0")" && pwd)/faults.awk
log=$(mktemp) || exit 1
trap 'rm -f "$log" "$log.said"' EXIT
passed=0
failed=0

# expect CLEAN|FAULT NAME: of what is in $log.
expect()
{
    awk -f "$judge" "$log" >"$log.said"
    case $1.$? in
    CLEAN.0 | FAULT.1) passed=$((passed + 1)) ;;
    *)
        echo "$2 should be $1"
        cat "$log.said" "$log"
        failed=$((failed + 1))
        ;;
    esac
}

# shown CLEAN|FAULT NAME: what comes on the standard input.
shown()
{
    cat >"$log"
    expect "$1" "$2"
}

# ran CLEAN|FAULT TEST
ran()
{
    "$planted" --filter "planted/$2" >"$log" 2>&1 </dev/null
    code=$?
    if ! grep -q 'Synthesis: Tested: 1 ' "$log"; then
        echo "planted/$2 was not run"
        failed=$((failed + 1))
    fi
    expect "$1" "planted/$2"
}

shown CLEAN nothing </dev/null
shown CLEAN "a suite that passes" <<'LOG'
[====] Synthesis: Tested: 18 | Passing: 18 | Failing: 0 | Crashing: 0
LOG
shown CLEAN "a leak of the runner" <<'LOG'
[====] Synthesis: Tested: 6 | Passing: 6 | Failing: 0 | Crashing: 0
=================================================================
==30814==ERROR: LeakSanitizer: detected memory leaks

Direct leak of 48 byte(s) in 1 object(s) allocated from:
    #0 0x7fc036ab83b7 in __interceptor_calloc ../../src/libsanitizer/asan/asan_malloc_linux.cpp:77
    #1 0x7fc0371ff332  (/lib/x86_64-linux-gnu/libcriterion.so.3+0x1a332)
    #2 0x7fc0361ff332 in main (/lib/x86_64-linux-gnu/libcriterion.so.3+0x5a70)
    #3 0x7fc0360461c9 in __libc_start_call_main ../sysdeps/nptl/libc_start_call_main.h:58
    #4 0x55d41c5e2360 in _start (/work/build/asan/bin/tests/ring.hash_test+0x5360)

Indirect leak of 8 byte(s) in 1 object(s) allocated from:
    #0 0x7fc036ab83b7 in __interceptor_malloc ../../src/libsanitizer/asan/asan_malloc_linux.cpp:69
    #1 0x7fc0371ff332 in cr_malloc (/lib/x86_64-linux-gnu/libcriterion.so.3+0x6350)
    #2 0x7fc0360461c9  (/lib/x86_64-linux-gnu/libc.so.6+0x271c9)

SUMMARY: AddressSanitizer: 56 byte(s) leaked in 2 allocation(s).
LOG
shown FAULT "a leak of a test" <<'LOG'
==29136==ERROR: LeakSanitizer: detected memory leaks

Direct leak of 100 byte(s) in 1 object(s) allocated from:
    #0 0x7f06ec2b89cf in __interceptor_malloc ../../src/libsanitizer/asan/asan_malloc_linux.cpp:69
    #1 0x5567a14d1291 in ring_new ring/ring.c:4
    #2 0x7fc0371ff332 in criterion_internal_test_main (/lib/x86_64-linux-gnu/libcriterion.so.3+0xe590)

SUMMARY: AddressSanitizer: 100 byte(s) leaked in 1 allocation(s).
LOG
shown FAULT "a leak of ours behind frames of the runner" <<'LOG'
==29136==ERROR: LeakSanitizer: detected memory leaks

Direct leak of 100 byte(s) in 1 object(s) allocated from:
    #0 0x7f06ec2b89cf in __interceptor_malloc ../../src/libsanitizer/asan/asan_malloc_linux.cpp:69
    #1 0x7fc0371ff332 in cr_malloc (/lib/x86_64-linux-gnu/libcriterion.so.3+0x6350)
    #2 0x5567a14d1291 in names_new tests/ring/names.c:4

SUMMARY: AddressSanitizer: 100 byte(s) leaked in 1 allocation(s).
LOG
shown FAULT "a leak of a library that we call" <<'LOG'
==29136==ERROR: LeakSanitizer: detected memory leaks

Direct leak of 100 byte(s) in 1 object(s) allocated from:
    #0 0x7f06ec2b89cf in __interceptor_malloc ../../src/libsanitizer/asan/asan_malloc_linux.cpp:69
    #1 0x7fc0371ff332 in nng_alloc (/lib/x86_64-linux-gnu/libnng.so.1+0x6350)

SUMMARY: AddressSanitizer: 100 byte(s) leaked in 1 allocation(s).
LOG
shown FAULT "a leak of which only the C library is seen" <<'LOG'
==29136==ERROR: LeakSanitizer: detected memory leaks

Direct leak of 100 byte(s) in 1 object(s) allocated from:
    #0 0x7f06ec2b89cf in __interceptor_malloc ../../src/libsanitizer/asan/asan_malloc_linux.cpp:69
    #1 0x7fc0371ff332 in getaddrinfo (/lib/x86_64-linux-gnu/libc.so.6+0x6350)

SUMMARY: AddressSanitizer: 100 byte(s) leaked in 1 allocation(s).
LOG
shown FAULT "a report that was cut" <<'LOG'
==29136==ERROR: LeakSanitizer: detected memory leaks

Direct leak of 100 byte(s) in 1 object(s) allocated from:
LOG
shown FAULT "a read after a free" <<'LOG'
==1==ERROR: AddressSanitizer: heap-use-after-free on address 0x602000000015 at pc 0x55 bp 0x7f sp 0x7f
LOG
shown FAULT "a deadly signal" <<'LOG'
AddressSanitizer:DEADLYSIGNAL
LOG
shown FAULT "a race" <<'LOG'
WARNING: ThreadSanitizer: data race (pid=1)
LOG
shown FAULT "an overflow" <<'LOG'
ring/hash.c:7:12: runtime error: signed integer overflow: 2147483647 + 1 cannot be represented in type 'int'
LOG
shown FAULT "leaks that could not be looked for" <<'LOG'
==1==LeakSanitizer has encountered a fatal error.
LOG

ran CLEAN clean
for fault in leak leak_of_a_thread leak_of_a_fixture; do
    ran FAULT $fault
    if [ $code -ne 0 ]; then # else a leak of the runner would be taken for a test that failed
        echo "planted/$fault ended with $code"
        failed=$((failed + 1))
    fi
done
ran FAULT overflow
ran FAULT use_after_free
echo "# $passed logs were judged right, $failed faults"
[ "$failed" -eq 0 ]
