#!/bin/sh
# Installs the Debian packages that are missing. Says nothing when none is.
#
#   sh cli/packages.sh build     what compiling and running needs
#   sh cli/packages.sh test      … and the tests
#   sh cli/packages.sh bench     … and the comparisons with peers
set -u

build="gcc libc6-dev cmake ninja-build pkg-config libnng-dev libmsgpack-dev libsodium-dev libssl-dev
       libuv1-dev libxxhash-dev libzstd-dev libsmartcols-dev libjansson-dev libcriterion-dev redis-tools"
test="$build procps iproute2 ccache clang-format cppcheck"
bench="$test redis-server etcd-server etcd-client librocksdb-dev libleveldb-dev liblmdb-dev"

case ${1-} in
build) wanted=$build ;;
test) wanted=$test ;;
bench) wanted=$bench ;;
*)
    echo "usage: sh cli/packages.sh build|test|bench" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "cli/packages.sh: this is not Debian; install by hand:" $wanted >&2
    exit 1
fi
missing=
for package in $wanted; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" ||
        missing="$missing $package"
done
[ -z "$missing" ] && exit 0

# The server packages of `bench` start a service when installed; the tests want their own.
as_root=
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "cli/packages.sh: as root, run: apt-get install -y --no-install-recommends$missing" >&2
        exit 1
    fi
    as_root=sudo
fi
echo "installing:$missing" >&2
log=$(mktemp) || exit 1
if { $as_root env DEBIAN_FRONTEND=noninteractive apt-get -q update &&
    $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get -q -y install --no-install-recommends $missing; } >"$log" 2>&1 </dev/null; then
    rm -f "$log"
    exit 0
fi
tail -n 20 "$log" >&2
rm -f "$log"
echo "cli/packages.sh: apt-get failed, see above; missing:$missing" >&2
exit 1
