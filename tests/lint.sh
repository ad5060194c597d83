#!/bin/sh
# Layout by clang-format and the mistakes cppcheck knows. clang-tidy takes minutes and is run by
# hand: sh tests/lint.sh tidy
set -u
cd "$(dirname "$0")/.." || exit 1
failed=0
sources=$(find storage ring replication router cli tests bench -name '*.[ch]')

# shellcheck disable=SC2086 # no name has a space
clang-format --dry-run -Werror $sources || failed=1
cppcheck -q -j "$(nproc)" --std=c11 --error-exitcode=1 --inline-suppr \
    --enable=warning,portability --suppress=missingIncludeSystem \
    --suppress=identicalInnerCondition -I. -DRINGCASK_VERSION='"0"' \
    storage ring replication router cli || failed=1
if [ "${1-}" = tidy ]; then
    # shellcheck disable=SC2086
    clang-tidy --quiet -p build/release $(find storage ring replication router cli -name '*.c') ||
        failed=1
fi
echo "# $(echo "$sources" | wc -l) files, $failed kinds of faults"
exit $failed
