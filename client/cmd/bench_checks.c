/* bench_checks.c — fills requests; see bench_checks.h. */
#include "client/cmd/bench_checks.h"

#include <string.h>

#include "proto/frame.h"

static struct wire_bytes bytes_of(const char *text, size_t n_bytes) {
    return (struct wire_bytes){(const uint8_t *)text, n_bytes};
}

static bool split_tenants(struct bench_checks *checks, const char *text, struct status *status) {
    for (;;) {
        size_t n_bytes = strcspn(text, ",");
        if (checks->n_tenants == BENCH_CHECKS_TENANTS_MAX) {
            return status_fail(status, "--tenants: more than %d", BENCH_CHECKS_TENANTS_MAX);
        }
        checks->tenants[checks->n_tenants++] = bytes_of(text, n_bytes);
        if (text[n_bytes] == '\0') {
            return true;
        }
        text += n_bytes + 1;
    }
}

static bool judge_names(const struct bench_checks *checks, struct status *status) {
    for (size_t i = 0; i < checks->n_tenants; i++) {
        struct wire_check check = {
            .tenant = checks->tenants[i], .resource = checks->resource, .cost = checks->cost};
        if (wire_check_problem(WIRE_CALL_CHECK, &check, status->text, sizeof status->text) != WIRE_OK) {
            return false;
        }
    }
    return true;
}

/* Protobuf adds at most 2 bytes for each of four names and numbers, 8 for those numbers, and 4 around them. */
static bool judge_size(const struct bench_checks *checks, struct status *status) {
    enum { EXTRA_BYTES = 24, HEAD_BYTES = 64 };
    size_t tenant_bytes = 0;
    for (size_t i = 0; i < checks->n_tenants; i++) {
        tenant_bytes = checks->tenants[i].len > tenant_bytes ? checks->tenants[i].len : tenant_bytes;
    }
    size_t key_bytes = checks->keys.kind == BENCH_KEYS_FILE ? WIRE_KEY_MAX_BYTES : BENCH_KEYS_KEY_BYTES;
    size_t check_bytes = tenant_bytes + checks->resource.len + key_bytes + EXTRA_BYTES;
    return HEAD_BYTES + checks->batch * check_bytes <= FRAME_BODY_MAX_BYTES ||
           status_fail(status, "--batch: %zu checks of these names may not fit into a frame of %d bytes",
                       checks->batch, FRAME_BODY_MAX_BYTES);
}

bool bench_checks_init(struct bench_checks *checks, const struct bench_checks_options *options,
                       struct status *status) {
    checks->n_tenants = 0;
    checks->resource = bytes_of(options->resource, strlen(options->resource));
    checks->cost = options->cost;
    checks->batch = options->batch;
    checks->rng = (struct rng){options->seed};
    return bench_keys_init(&checks->keys, options->keys, status) &&
           split_tenants(checks, options->tenants, status) && judge_names(checks, status) &&
           judge_size(checks, status);
}

void bench_checks_deinit(struct bench_checks *checks) {
    bench_keys_deinit(&checks->keys);
}

void bench_checks_fill(struct bench_checks *checks, struct wire_request *request) {
    request->call = checks->batch > 1 ? WIRE_CALL_CHECK_BATCH : WIRE_CALL_CHECK;
    request->n_checks = checks->batch;
    for (size_t i = 0; i < checks->batch; i++) {
        struct bytes key = bench_keys_next(&checks->keys, &checks->rng, checks->numbered[i]);
        size_t tenant = checks->n_tenants > 1 ? (size_t)rng_below(&checks->rng, checks->n_tenants) : 0;
        request->checks[i] = (struct wire_check){
            .tenant = checks->tenants[tenant],
            .resource = checks->resource,
            .key = {key.data, key.len},
            .cost = checks->cost,
        };
    }
}
