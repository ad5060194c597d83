#!/bin/sh
# Installs what is missing, builds, and runs a cluster of three nodes and a router until Ctrl-C.
# Arguments go to `ringcask demo`.
set -u
top=$(cd "$(dirname "$0")/.." && pwd) || exit 1
sh "$top/cli/packages.sh" build || exit 1

build()
{
    cd "$top" && cmake --preset release && cmake --build --preset release --target ringcask ring-admin
}
log=$(mktemp) || exit 1
echo "building (build/release); the first time that takes some minutes" >&2
if ! (build) >"$log" 2>&1; then
    tail -n 40 "$log" >&2
    rm -f "$log"
    exit 1
fi
rm -f "$log"
exec "$top/build/release/bin/ringcask" demo "$@"
