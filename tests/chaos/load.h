/* load.h — a steady load on several frontends, in a process of its own, and a record of every check.
 *
 * Open loop: a check is sent when it is due, whatever has become of those before it. Each class of keys has its
 * own rate, and each key goes round all connections. The records lie in memory shared with the test, which may
 * look at them while the load runs. */
#ifndef SLUICE_TESTS_CHAOS_LOAD_H
#define SLUICE_TESTS_CHAOS_LOAD_H

#include "tests/chaos/record.h"
#include "tests/system/frontend.h"

enum {
    LOAD_FRONTENDS = 3,
    LOAD_MAX_CLASSES = 5,
    LOAD_MAX_CONNS = 64,
    LOAD_MAX_KEYS = 512,
    LOAD_MAX_RECORDS = 300 * 1000,
    LOAD_KEY_BYTES = 16,
    LOAD_SHARDS = 3,
};
#define LOAD_TENANT "t"

/* Keys of one quota, which has a limit of scope key. */
struct load_class {
    const char *resource; /* NULL ends a list of classes */
    unsigned n_keys;
    bool is_one_per_shard; /* key i is in the first slots of shard i, which are those that move first */
    unsigned checks_per_s; /* of all its keys together */
    unsigned rate_per_s, burst;
    const char *wider; /* more limits, as the quota file has them: "{...}, {...}"; NULL: none */
};

struct load_key {
    char name[LOAD_KEY_BYTES];
    const struct load_class *class;
    unsigned shard;
};

/* Who sends. All zero: one plain connection to each frontend. */
struct load_senders {
    bool by_library;  /* one client of the library, which picks the frontends itself */
    unsigned n_conns; /* up to LOAD_MAX_CONNS plain ones; 0: one to each frontend */
    unsigned
        percent_on_first; /* of these are to frontend 0, the others go round the rest; 0: all go round all */
};

struct load_shared; /* what both processes see */

struct load {
    struct harness *harness;
    pid_t pid;
    size_t n_keys;
    struct load_key keys[LOAD_MAX_KEYS];
    struct load_shared *shared;
};

/* The quota file for these classes, as YAML. */
void load_write_quotas(const struct load_class classes[], char *text, size_t cap);

/* Starts; the classes are borrowed until the end. */
void load_start(struct harness *harness, struct load *load, const struct load_class classes[],
                const struct frontend frontends[LOAD_FRONTENDS], struct load_senders senders);
/* Sends no more, waits for answers on the way. Fails the test if the load had a problem of its own. */
void load_stop(struct load *load);
/* Frees the records. Fine on a load that was never started, and on one that still runs. */
void load_close(struct load *load);

const struct record *load_records(const struct load *load, size_t *n_records);
/* The most that was taken off a latency: what the load woke too late, and the frontend had no processor. */
int64_t load_most_excused_us(const struct load *load);

#endif
