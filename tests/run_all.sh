#!/bin/sh
# run_all.sh — every test, in the order in which a failure says most. $1: the plain build, $2: the sanitized one.
set -u
cd "$(dirname "$0")/.." || exit 2
plain=$1
sanitized=$2
export SLUICE_PLAIN_BUILD="$plain" SLUICE_BUILD="$sanitized"
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1

set -- "tests/check_layers.sh" "tests/check_headers.sh $sanitized" "tests/check_docs.sh $sanitized/sluiced" \
    "tests/check_install.sh $plain"
for source in tests/unit/test_*.c tests/property/test_*.c tests/system/test_*.c; do
    set -- "$@" "$sanitized/${source%.c}"
done
set -- "$@" "$sanitized/tests/chaos/test_chaos --quick"
tests/run_tests.sh "$@"
