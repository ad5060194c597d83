#!/bin/sh
# Runs the commands of docs/embedding.md as typed, in a folder of their own: the library of the
# release build is installed, and docs/labs/embed.c linked with it, shared and static. Then once
# more without the linker's plugin for link-time optimisation, which other compilers do not have.
#
#   sh tests/docs/embedding_test.sh      behind cmake --build build/release
set -u
top=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

fault()
{
    echo "FAULT: $*"
    cat "$work/log"
    exit 1
}

mkdir "$work/tree" "$work/home"
ln -s "$top/build" "$top/docs" "$work/tree"
awk '/^```sh$/ { inside = 1; next } /^```/ { inside = 0 } inside' "$top/docs/embedding.md" |
    sed "s#/tmp/words#$work/words#g" >"$work/commands"
cd "$work/tree" || exit 1
HOME=$work/home sh -eu "$work/commands" >"$work/log" 2>&1 || fault "a command fails"
# Twice the same words, by two programs.
printf '%s\n' 'apple 1' 'pear 2' 'apple 2' 'pear 4' >"$work/wanted"
grep -E '^(apple|pear) ' "$work/log" | diff "$work/wanted" - ||
    fault "the programs do not count"

lib=$(find "$work/home" -name libringcask-storage.a)
cc -fno-use-linker-plugin -I"$work/home/.local/include" "$top/docs/labs/embed.c" "$lib" \
    -lsodium -lxxhash -lzstd -pthread -o "$work/plain" >"$work/log" 2>&1 ||
    fault "the archive cannot be linked without link-time optimisation"
"$work/plain" "$work/words" fig >"$work/log" 2>&1 || fault "it does not run"
grep -q '^fig 1$' "$work/log" || fault "it does not count"
echo "# embedding: $(grep -c '^cc ' "$work/commands") ways to link, 0 faults"
