/* cluster_bench.c — a cluster client between two fake nodes; see cluster_bench.h. */
#include "tests/support/test_prelude.h"

#include "tests/support/cluster_bench.h"

#include "server/base/clock.h"
#include "server/store/redis_request.h"

static const struct script script = {
    .name = "ten",
    .body = "return 10\n",
    .body_bytes = 10,
    .n_keys = 1,
    .sha1 = CLUSTER_BENCH_SHA1,
};
static const struct script *const scripts[] = {&script};

void cluster_bench_start(struct cluster_bench *bench) {
    *bench = (struct cluster_bench){.loop = ev_loop_new(EVFLAG_AUTO)};
    bench->a = fake_redis_start(bench->loop, 0);
    bench->b = fake_redis_start(bench->loop, 0);
    fake_redis_set_owners(bench->a, "127.0.0.1", bench->a, CLUSTER_BENCH_SPLIT, bench->b, 0);
    fake_redis_set_owners(bench->b, "127.0.0.1", bench->a, CLUSTER_BENCH_SPLIT, bench->b, 0);
    snprintf(bench->nodes, sizeof bench->nodes, "127.0.0.1:%u", (unsigned)fake_redis_port(bench->a));
}

struct cluster_options cluster_bench_options(const struct cluster_bench *bench) {
    return (struct cluster_options){
        .nodes = bench->nodes,
        .connect_timeout_us = 500000,
        .refresh_every_us = 50000,
        .max_inflight_per_node = 3,
        .scripts = scripts,
        .n_scripts = 1,
    };
}

void cluster_bench_create(struct cluster_bench *bench, const struct cluster_options *options) {
    struct status status;
    cluster_destroy(&bench->cluster);
    bench->cluster = cluster_create(bench->loop, options, &bench->metrics, &status);
    assert_non_null(bench->cluster);
}

void cluster_bench_await_ready(struct cluster_bench *bench) {
    turn_until(bench->loop, cluster_is_ready(bench->cluster));
    fake_redis_forget(bench->a);
    fake_redis_forget(bench->b);
}

void cluster_bench_open(struct cluster_bench *bench) {
    cluster_bench_start(bench);
    struct cluster_options options = cluster_bench_options(bench);
    cluster_bench_create(bench, &options);
    cluster_bench_await_ready(bench);
}

void cluster_bench_close(struct cluster_bench *bench) {
    cluster_destroy(&bench->cluster);
    fake_redis_stop(&bench->a);
    fake_redis_stop(&bench->b);
    ev_loop_destroy(bench->loop);
}

void cluster_bench_on_done(struct cluster_call *call, enum store_outcome outcome,
                           const struct redis_reply *reply) {
    struct cluster_bench_note *note = list_entry(call, struct cluster_bench_note, call);
    note->n_ends++;
    note->outcome = outcome;
    assert_true((reply != NULL) == (outcome == STORE_OK));
    if (reply != NULL) {
        snprintf(note->text, sizeof note->text, "%.*s", (int)reply->text.len, (const char *)reply->text.data);
    }
    if (note->asks_again) {
        note->asks_again = false;
        note->n_ends = 0;
        note->outcome = cluster_bench_submit_for(note->bench, (int)(note - note->bench->notes), call->slot,
                                                 CLUSTER_BENCH_USUAL_TIMEOUT_US);
        note->n_ends = note->outcome != STORE_OK;
    }
}

enum store_outcome cluster_bench_submit_for(struct cluster_bench *bench, int i, uint16_t slot,
                                            int64_t timeout_us) {
    struct cluster_bench_note *note = &bench->notes[i];
    note->bench = bench;
    note->n_ends = 0;
    note->text[0] = '\0';
    char key[] = {'k', (char)('0' + i), '\0'};
    size_t n = redis_put_tail((struct bytes){.data = (const uint8_t *)key, .len = 2},
                              (struct bytes){.data = (const uint8_t *)"arg", .len = 3}, note->tail);
    note->call = (struct cluster_call){
        .slot = slot, .tail = {.data = note->tail, .len = n}, .done = cluster_bench_on_done};
    ev_now_update(bench->loop); /* as it is within a turn */
    int64_t now_us = clock_mono_us();
    return cluster_submit(bench->cluster, &note->call, now_us + timeout_us, now_us);
}

void cluster_bench_submit(struct cluster_bench *bench, int i, uint16_t slot) {
    assert_int_equal(cluster_bench_submit_for(bench, i, slot, CLUSTER_BENCH_USUAL_TIMEOUT_US), STORE_OK);
    assert_int_equal(bench->notes[i].n_ends, 0);
}

void cluster_bench_assert_ends(struct cluster_bench *bench, int i, enum store_outcome outcome,
                               const char *text) {
    turn_until(bench->loop, bench->notes[i].n_ends > 0);
    assert_int_equal(bench->notes[i].n_ends, 1);
    assert_int_equal(bench->notes[i].outcome, outcome);
    assert_string_equal(bench->notes[i].text, text);
}
