/* scenarios.h — each way to break things, in a file of its own. */
#ifndef SLUICE_TESTS_CHAOS_SCENARIOS_H
#define SLUICE_TESTS_CHAOS_SCENARIOS_H

#include "tests/chaos/chaos.h"

/* function (its name in the table), is it in the quick half */
#define CHAOS_SCENARIOS(X)                                                                                     \
    X(kill_master, true)                                                                                       \
    X(hang_master, false)                                                                                      \
    X(kill_shard, true)                                                                                        \
    X(kill_all, true)

#define CHAOS_DECLARE(name, is_in_quick_half) void chaos_##name(void **state);
CHAOS_SCENARIOS(CHAOS_DECLARE)
#undef CHAOS_DECLARE

#endif
