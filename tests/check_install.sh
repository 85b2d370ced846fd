#!/bin/sh
# check_install.sh — what `make install` lays down is enough to build against: static, shared, by pkg-config;
# and the libraries show no name but their own. $1: the plain build folder.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT INT TERM
make --no-print-directory BUILD="$build" DESTDIR="$root" PREFIX=/opt/sluice install > "$root/log" 2>&1 || {
    cat "$root/log"
    exit 1
}
export PKG_CONFIG_SYSROOT_DIR="$root" PKG_CONFIG_PATH="$root/opt/sluice/lib/pkgconfig"
sed 's|"client/sluice.h"|<sluice.h>|' client/example_sync.c > "$root/program.c"

# shellcheck disable=SC2046  # word splitting is meant
${CC:-gcc} -std=c11 "$root/program.c" $(pkg-config --cflags --libs sluice) -o "$root/shared"
# shellcheck disable=SC2046
${CC:-gcc} -std=c11 "$root/program.c" $(pkg-config --cflags sluice) "$root/opt/sluice/lib/libsluice.a" \
    $(pkg-config --libs --static sluice | sed 's/-lsluice//') -o "$root/static"

for program in shared static; do
    code=0
    LD_LIBRARY_PATH="$root/opt/sluice/lib" "$root/$program" 127.0.0.1:1 > "$root/out" 2>&1 || code=$?
    if [ "$code" -ne 2 ] || ! grep -q 127.0.0.1:1 "$root/out"; then
        echo "$program: without a frontend the example should exit 2 and name it; it exited $code and said:"
        cat "$root/out"
        exit 1
    fi
done

for library in libsluice.a libsluice.so; do
    case "$library" in *.so) flags='-D' ;; *) flags='-g' ;; esac
    foreign=$(nm $flags --defined-only "$root/opt/sluice/lib/$library" | awk 'NF == 3 && $3 !~ /^sluice_/ {print $3}')
    if [ -n "$foreign" ]; then
        echo "$library shows names that are not its own: $foreign"
        exit 1
    fi
done
"$root/opt/sluice/bin/sluiced" --version
"$root/opt/sluice/bin/sluicectl" --version
