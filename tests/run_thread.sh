#!/bin/sh
# run_thread.sh — the tests of threads and sockets under ThreadSanitizer. $1: the plain build, $2: the thread one.
set -u
cd "$(dirname "$0")/.." || exit 2
export SLUICE_PLAIN_BUILD="$1" SLUICE_BUILD="$2" TSAN_OPTIONS=halt_on_error=1
for name in unit/test_conn unit/test_service unit/test_routes unit/test_log unit/test_quota_set unit/test_server unit/test_hot_survey \
    unit/test_client unit/test_client_sync unit/test_resolver unit/test_redis_conn_names unit/test_topology unit/test_slot_board \
    system/test_cluster system/test_protocol system/test_shutdown; do
    set -- "$@" "$SLUICE_BUILD/tests/$name"
done
shift 2
tests/run_tests.sh "$@"
