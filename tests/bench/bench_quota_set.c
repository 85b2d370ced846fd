/* bench_quota_set.c — does it matter how many quotas there are? Lookups, a change, and memory, with 10 and 100000.
 *
 * The ratio compares lookups of the same ten quotas in both sets, taken in turns: what the structure costs. Lookups
 * that go over all quotas also wait for memory, as any structure does whose parts no longer fit into the caches;
 * they are printed beside it. */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/base/clock.h"
#include "server/base/ensure.h"
#include "server/core/quota_set.h"

enum { N_HOT = 10, N_MANY = 100000, N_LOOKUPS = 1000000, N_ROUNDS = 9, N_CHANGES = 50, NAME_BYTES = 24 };

struct name {
    char tenant[NAME_BYTES], resource[NAME_BYTES];
    size_t tenant_len, resource_len;
};

static struct bytes bytes_of(const char *text, size_t len) {
    return (struct bytes){.data = (const uint8_t *)text, .len = len};
}

/* A hundred resources for each tenant, every tenth a prefix. */
static struct name name_of(uint32_t i) {
    struct name name;
    name.tenant_len = (size_t)snprintf(name.tenant, NAME_BYTES, "tenant-%u", i / 100);
    name.resource_len =
        (size_t)snprintf(name.resource, NAME_BYTES, "api.v%u.%s", i % 100, i % 10 == 9 ? "*" : "read");
    return name;
}

static void put(struct quota_set *set, uint32_t i, int64_t burst_tokens) {
    struct quota_rules rules = {.n_limits = 1,
                                .limits = {{.count = 100, .period_s = 1, .burst_utok = burst_tokens * 1000000}},
                                .limit_names = {"second"}};
    struct name name = name_of(i);
    struct status status;
    bool is_put = quota_set_put(set, bytes_of(name.tenant, name.tenant_len),
                                bytes_of(name.resource, name.resource_len), &rules, 1, &status);
    ensure(is_put, ==, true);
}

static struct quota_set *make(uint32_t n_quotas) {
    struct quota_set *set = quota_set_create();
    for (uint32_t i = 0; i < n_quotas; i++) {
        put(set, i, 200);
    }
    return set;
}

/* Nanoseconds for each lookup of the first `n_names`, in a scattered order. */
static double time_lookups(const struct quota_set *set, const struct name *names, uint32_t n_names) {
    uint64_t n_found = 0;
    int64_t from_us = clock_mono_us();
    for (uint32_t i = 0, at = 0; i < N_LOOKUPS; i++) {
        const struct name *name = &names[at];
        n_found += quota_set_find(set, bytes_of(name->tenant, name->tenant_len),
                                  bytes_of(name->resource, name->resource_len)) != NULL;
        at = (uint32_t)((at + UINT64_C(48271)) % n_names);
    }
    double took_ns = (double)(clock_mono_us() - from_us) * 1000 / N_LOOKUPS;
    ensure(n_found, ==, (uint64_t)N_LOOKUPS);
    return took_ns;
}

static void keep_least(double *least, double value) {
    *least = *least == 0 || value < *least ? value : *least;
}

static void bench_lookups(const struct quota_set *few, const struct quota_set *many, const struct name *names) {
    double few_ns = 0, many_ns = 0, all_ns = 0;
    for (int round = 0; round < N_ROUNDS; round++) {
        keep_least(&few_ns, time_lookups(few, names, N_HOT));
        keep_least(&many_ns, time_lookups(many, names, N_HOT));
        keep_least(&all_ns, time_lookups(many, names, N_MANY));
    }
    printf("quota lookup: %.1f ns of %d quotas, %.1f ns of %d: ratio %.2f (over all of them %.1f ns)\n", few_ns,
           N_HOT, many_ns, N_MANY, many_ns / few_ns, all_ns);
}

static void bench_change(struct quota_set *set) {
    int64_t copy_us = 0, put_us = 0, release_us = 0;
    for (int i = 0; i < N_CHANGES; i++) {
        int64_t at_us = clock_mono_us();
        struct quota_set *next = quota_set_copy(set);
        int64_t copied_us = clock_mono_us();
        put(next, (uint32_t)i * 1009, 300 + i);
        int64_t changed_us = clock_mono_us();
        quota_set_release(&next);
        copy_us += copied_us - at_us;
        put_us += changed_us - copied_us;
        release_us += clock_mono_us() - changed_us;
    }
    printf("quota change among %d: copy %" PRId64 " us, put %" PRId64 " us, release %" PRId64 " us\n", N_MANY,
           copy_us / N_CHANGES, put_us / N_CHANGES, release_us / N_CHANGES);
}

int main(void) {
    static struct name names[N_MANY];
    for (uint32_t i = 0; i < N_MANY; i++) {
        names[i] = name_of(i);
    }
    struct quota_set *few = make(N_HOT);
    struct mallinfo2 before = mallinfo2();
    int64_t from_us = clock_mono_us();
    struct quota_set *many = make(N_MANY);
    int64_t took_us = clock_mono_us() - from_us;
    struct mallinfo2 after = mallinfo2();
    bench_lookups(few, many, names);
    bench_change(many);
    printf("quota memory: %zu bytes for each of %d (one limit); all put in %" PRId64 " ms\n",
           (after.uordblks + after.hblkhd - before.uordblks - before.hblkhd) / N_MANY, N_MANY, took_us / 1000);
    quota_set_release(&few);
    quota_set_release(&many);
    return EXIT_SUCCESS;
}
