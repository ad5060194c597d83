# What bench/join.sh and bench/compare.sh begin with. Sourced by them in the top folder, $top; not a
# program.
#   $bin   the programs: RINGCASK_BIN, or those that build has built
#   $dir   a folder on the disk of this checkout, from open_dir on; it goes with the script
#   $commit, $stamp, $kernel, $cpu, $cores   of what is measured, when, and where
# Only processes that were given to started are ended, by number.

script=$(basename "$0" .sh)
commit=$(git describe --always --dirty --abbrev=12 --exclude '*' 2>/dev/null || echo unknown)
stamp=$(date -u +%Y-%m-%dT%H:%M:%SZ)
kernel=$(uname -r)
cpu=$(sed -n 's/^model name[^:]*: *//p' /proc/cpuinfo | head -n 1)
cores=$(nproc)
bin=${RINGCASK_BIN:-$top/build/release/bin}

die()
{
    echo "bench/$script.sh: $*" >&2
    exit 1
}

build() # targets...
{
    [ -z "${RINGCASK_BIN:-}" ] || return 0
    echo "building (build/release)" >&2
    mkdir -p build
    { cmake --preset release && cmake --build --preset release --target "$@"; } \
        >"build/$script.log" 2>&1 || {
        tail -n 30 "build/$script.log" >&2
        exit 1
    }
}

# Ends what was started, the newest first, and removes its data.
clean_up()
{
    trap - EXIT INT TERM
    for pid in $pids; do
        kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    done
    rm -rf "$dir"
}

started() # pid
{
    pids="$1 $pids"
}
# It has been waited for: its number may be another's now.
ended() # pid
{
    rest=
    for pid in $pids; do
        [ "$pid" = "$1" ] || rest="$rest $pid"
    done
    pids=$rest
}

open_dir()
{
    pids=
    mkdir -p build
    dir=$(mktemp -d "$top/build/$script.XXXXXX") || exit 1
    trap clean_up EXIT
    trap 'exit 1' INT TERM
}
