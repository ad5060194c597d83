#!/bin/sh
# Runs every seed of seeds.txt. usage: sh tests/sim/regressions.sh PATH-OF-SIM
set -u
sim=${1:?usage: regressions.sh PATH-OF-SIM}
folder=$(cd "$(dirname "$0")" && pwd)
passed=0
failed=0
for seed in $(sed -n 's/^\([0-9][0-9]*\) .*/\1/p' "$folder/seeds.txt" | sort -nu); do
    if "$sim" --seed "$seed"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
done
echo "# $passed seeds held, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
