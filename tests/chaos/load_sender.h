/* load_sender.h — the process that sends a load; only load.c calls it. */
#ifndef SLUICE_TESTS_CHAOS_LOAD_SENDER_H
#define SLUICE_TESTS_CHAOS_LOAD_SENDER_H

#include <stdatomic.h>

#include "tests/chaos/load.h"

struct load_shared {
    atomic_bool is_stopping;
    _Atomic size_t n_records;
    _Atomic int64_t most_excused_us;
    char problem[160];
    struct record records[LOAD_MAX_RECORDS];
};

/* Sends until it is told to stop, then ends the process: with code 0, or 1 and a sentence in `problem`. */
_Noreturn void load_sender_run(struct load *load, const struct load_class classes[],
                               const struct frontend frontends[LOAD_FRONTENDS], struct load_senders senders);

#endif
