#!/bin/sh
# check_headers.sh — every header compiles alone, and every module has its unit test. $1: the build folder.
set -u
cd "$(dirname "$0")/.." || exit 2
build=${1:-build}
faults=$(
    find server proto client admin -name '*.h' | while read -r header; do
        printf '#include "%s"\n' "$header" |
            ${CC:-gcc} -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -fsyntax-only -I. -I"$build" -x c - 2>&1
    done

    # Modules whose whole point is the outside; the system tests have those.
    exempt=' ensure clock worker server http main session '
    find server proto client admin -name '*.c' ! -path 'client/example_*' ! -name 'cmd_*' ! -name 'ctl_*' | while read -r source; do
        name=$(basename "$source" .c)
        case "$exempt" in *" $name "*) continue ;; esac
        [ -f "tests/unit/test_$name.c" ] || echo "$source: no tests/unit/test_$name.c"
    done
)
[ -z "$faults" ] || { echo "$faults"; exit 1; }
