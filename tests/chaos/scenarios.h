/* scenarios.h — each way to break things, in a file of its own. */
#ifndef SLUICE_TESTS_CHAOS_SCENARIOS_H
#define SLUICE_TESTS_CHAOS_SCENARIOS_H

#include "tests/chaos/chaos.h"

/* function (its name in the table), is it in the quick half */
#define CHAOS_SCENARIOS(X)                                                                                     \
    X(kill_master, true)                                                                                       \
    X(hang_master, false)                                                                                      \
    X(kill_shard, true)                                                                                        \
    X(kill_all, true)                                                                                          \
    X(redis_later, true)                                                                                       \
    X(failover, true)                                                                                          \
    X(move_slots, false)                                                                                       \
    X(script_flush, true)                                                                                      \
    X(out_of_memory, true)                                                                                     \
    X(busy_script, true)                                                                                       \
    X(wrong_password, false)                                                                                   \
    X(readonly, false)                                                                                         \
    X(loading, false)                                                                                          \
    X(slow_network, false)                                                                                     \
    X(lossy_network, false)                                                                                    \
    X(cut_off, false)                                                                                          \
    X(clock_step, false)                                                                                       \
    X(kill_frontend, true)                                                                                     \
    X(hot_failover, true)                                                                                      \
    X(hot_frontend, true)

#define CHAOS_DECLARE(name, is_in_quick_half) void chaos_##name(void **state);
CHAOS_SCENARIOS(CHAOS_DECLARE)
#undef CHAOS_DECLARE

#endif
