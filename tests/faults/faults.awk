# Judges what a suite printed: prints each line that tells a fault found by a sanitizer, and exits with
# 1 if there is one. One thing is excused: what Criterion's runner did not free, a leak whose stack is
# made of frames of Criterion and of the C library alone. Any frame of ours, or of a library that we
# call, makes it ours, and so does a stack that was cut before it reached Criterion.
#
# Reports of several processes may be mixed line by line. So no line is put together with another one:
# frames are judged one by one, and there must be as many leaks as frames #1 in Criterion.
#   usage: awk -f tests/faults/faults.awk LOG...

function fault() { print FILENAME ":" FNR ": " $0; faults++ }

/^(Direct|Indirect) leak of [0-9]+ byte/ {
    leaks++
    next
}

# "    #1 0x7f8f119ef332 in main src/main.c:7"; "    #1 0x7f8f119ef332  (/lib/libcriterion.so.3+0x1a332)"
/^ +#[0-9]+ 0x[0-9a-f]+ / {
    if ($1 == "#0") {
        if ($0 !~ / in (__interceptor_)?(malloc|calloc|realloc|reallocarray|posix_memalign|strdup|strndup) /)
            fault()
    } else if ($0 ~ /\/libcriterion\.so[.0-9]*\+0x[0-9a-f]+\)/) {
        runners += $1 == "#1"
    } else if ($0 !~ /\/(libc|ld-linux-x86-64)\.so[.0-9]*\+0x[0-9a-f]+\)/ &&
               $0 !~ / in __libc_start_(main|call_main)/ && $0 !~ / in _start \(/) {
        fault()
    }
    next
}

/ERROR: LeakSanitizer: detected memory leaks$/ { next }
/^SUMMARY: AddressSanitizer: [0-9]+ byte\(s\) leaked in [0-9]+ allocation\(s\)\.$/ { next }
/(Address|Leak|Thread|UndefinedBehavior)Sanitizer|: runtime error: / { fault() }

END {
    if (leaks != runners) {
        print FILENAME ": " leaks + 0 " leaks, " runners + 0 " of Criterion's runner"
        faults++
    }
    exit faults > 0
}
