/* bench_checks.h — what each frame of a load asks: tenants by turns at random, keys as chosen, one resource. */
#ifndef SLUICE_CLIENT_CMD_BENCH_CHECKS_H
#define SLUICE_CLIENT_CMD_BENCH_CHECKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cmd/bench_keys.h"
#include "proto/wire.h"
#include "server/base/status.h"

enum { BENCH_CHECKS_TENANTS_MAX = 64 };

struct bench_checks_options {
    const char *tenants; /* "a,b,c"; borrowed, as are the other texts, for as long as the checks live */
    const char *resource;
    const char *keys; /* see bench_keys.h */
    uint64_t cost;
    size_t batch; /* checks in a frame, 1 ... WIRE_BATCH_MAX */
    uint64_t seed;
};

struct bench_checks {
    struct wire_bytes tenants[BENCH_CHECKS_TENANTS_MAX];
    size_t n_tenants;
    struct wire_bytes resource;
    uint64_t cost;
    size_t batch;
    struct bench_keys keys;
    struct rng rng;
    uint8_t numbered[WIRE_BATCH_MAX][BENCH_KEYS_KEY_BYTES];
};

/* Judges names and sizes as a frontend will. False with a sentence; deinit is harmless then. */
bool bench_checks_init(struct bench_checks *checks, const struct bench_checks_options *options,
                       struct status *status) __attribute__((warn_unused_result));
void bench_checks_deinit(struct bench_checks *checks);

/* Sets call and checks of `request` and nothing else; what they borrow stays valid until the next call. A frame of
 * one check is a CHECK, of more a CHECK_BATCH. */
void bench_checks_fill(struct bench_checks *checks, struct wire_request *request);

#endif
