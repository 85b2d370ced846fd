#!/usr/bin/env bash
# install.sh [BUILD] — fetches the peers that the benchmark compares with into BUILD/peers, as far as it can.
#
# By hand only: no target of the Makefile calls this. Needs the network; nothing is installed on the machine itself.
set -uo pipefail
cd "$(dirname "$0")/../../.." || exit 2
readonly to=$PWD/${1:-build}/peers

# try WHAT COMMAND...
try() {
    local what=$1
    shift
    if "$@" >"$to/$what.log" 2>&1; then
        echo "$what: in $to"
    else
        echo "$what: not installed, see $to/$what.log"
    fi
}

# Debian's packages, unpacked and not installed, so that no service begins.
unpack_packages() (
    cd "$to" && apt-get download nginx wrk libluajit-5.1-2 protobuf-compiler libprotoc32 || exit
    for package in ./*.deb; do
        dpkg -x "$package" unpacked || exit
    done
    mkdir -p bin lib && cp unpacked/usr/sbin/nginx unpacked/usr/bin/{wrk,protoc} bin &&
        cp unpacked/usr/lib/*/lib{luajit,protoc}* lib && rm -r ./*.deb unpacked
)

mkdir -p "$to" || exit 2
try nginx unpack_packages
try rate-limiter-flexible npm install --prefix "$to" rate-limiter-flexible ioredis
# Its build runs protoc, which is among the packages above.
export PROTOC=$to/bin/protoc LD_LIBRARY_PATH=$to/lib
try throttlecrab cargo install --root "$to" throttlecrab-server
