/* test_cluster.c — a call's way to its node, through every redirect, refusal and loss. */
#include "tests/support/test_prelude.h"

#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/store/cluster.h"
#include "server/store/redis_request.h"
#include "tests/support/fake_redis.h"

enum { MAX_CALLS = 8, SLOT_OF_A = 5, SLOT_OF_B = 9000, SPLIT = 8192 };

#define REFRESH_EVERY_US INT64_C(50000)

static const struct script script = {
    .name = "ten",
    .body = "return 10\n",
    .body_bytes = 10,
    .n_keys = 1,
    .sha1 = "0123456789012345678901234567890123456789",
};
static const struct script *const scripts[] = {&script};

struct note {
    struct cluster_call call;
    struct bench *bench;
    uint8_t tail[128];
    int n_ends;
    enum store_outcome outcome;
    char text[64];
    bool asks_again;
};

struct bench {
    struct ev_loop *loop;
    struct fake_redis *a, *b; /* of the slots below SPLIT, and of the others */
    struct redis_metrics metrics;
    struct cluster *cluster;
    struct note notes[MAX_CALLS];
};

static void setup_breaker(struct bench *bench, struct breaker_options breaker) {
    *bench = (struct bench){.loop = ev_loop_new(EVFLAG_AUTO)};
    bench->a = fake_redis_start(bench->loop, 0);
    bench->b = fake_redis_start(bench->loop, 0);
    fake_redis_set_owners(bench->a, "127.0.0.1", bench->a, SPLIT, bench->b, 0);
    fake_redis_set_owners(bench->b, "127.0.0.1", bench->a, SPLIT, bench->b, 0);
    char nodes[32];
    snprintf(nodes, sizeof nodes, "127.0.0.1:%u", (unsigned)fake_redis_port(bench->a));
    struct cluster_options options = {
        .nodes = nodes,
        .connect_timeout_us = 500000,
        .refresh_every_us = REFRESH_EVERY_US,
        .max_inflight_per_node = 3,
        .scripts = scripts,
        .n_scripts = 1,
        .breaker = breaker,
    };
    struct status status;
    bench->cluster = cluster_create(bench->loop, &options, &bench->metrics, &status);
    assert_non_null(bench->cluster);
}

static void setup(struct bench *bench) {
    setup_breaker(bench, (struct breaker_options){0});
}

static void await_ready(struct bench *bench) {
    turn_until(bench->loop, cluster_is_ready(bench->cluster));
    fake_redis_forget(bench->a);
    fake_redis_forget(bench->b);
}

static void setup_ready(struct bench *bench) {
    setup(bench);
    await_ready(bench);
}

/* Opens at four failures of four, or after `silence_us`. */
static void setup_brittle(struct bench *bench, int64_t silence_us) {
    setup_breaker(bench, (struct breaker_options){.is_on = true,
                                                  .min_samples = 4,
                                                  .failure_percent = 50,
                                                  .silence_us = silence_us,
                                                  .probe_every_us = 4000});
    await_ready(bench);
}

static void teardown(struct bench *bench) {
    cluster_destroy(&bench->cluster);
    fake_redis_stop(&bench->a);
    fake_redis_stop(&bench->b);
    ev_loop_destroy(bench->loop);
}

static enum store_outcome submit_for(struct bench *bench, int i, uint16_t slot, int64_t timeout_us);

static void on_done(struct cluster_call *call, enum store_outcome outcome, const struct redis_reply *reply) {
    struct note *note = list_entry(call, struct note, call);
    note->n_ends++;
    note->outcome = outcome;
    assert_true((reply != NULL) == (outcome == STORE_OK));
    if (reply != NULL) {
        snprintf(note->text, sizeof note->text, "%.*s", (int)reply->text.len, (const char *)reply->text.data);
    }
    if (note->asks_again) {
        note->asks_again = false;
        note->n_ends = 0;
        note->outcome = submit_for(note->bench, (int)(note - note->bench->notes), call->slot, 1000000);
        note->n_ends = note->outcome != STORE_OK;
    }
}

static enum store_outcome submit_for(struct bench *bench, int i, uint16_t slot, int64_t timeout_us) {
    struct note *note = &bench->notes[i];
    note->bench = bench;
    note->n_ends = 0;
    note->text[0] = '\0';
    char key[] = {'k', (char)('0' + i), '\0'};
    size_t n = redis_put_tail((struct bytes){.data = (const uint8_t *)key, .len = 2},
                              (struct bytes){.data = (const uint8_t *)"arg", .len = 3}, note->tail);
    note->call = (struct cluster_call){.slot = slot, .tail = {.data = note->tail, .len = n}, .done = on_done};
    int64_t now_us = clock_mono_us();
    return cluster_submit(bench->cluster, &note->call, now_us + timeout_us, now_us);
}

static void submit(struct bench *bench, int i, uint16_t slot) {
    assert_int_equal(submit_for(bench, i, slot, 1000000), STORE_OK);
    assert_int_equal(bench->notes[i].n_ends, 0);
}

/* Waits for the end of call `i` and for nothing more. */
static void assert_ends(struct bench *bench, int i, enum store_outcome outcome, const char *text) {
    turn_until(bench->loop, bench->notes[i].n_ends > 0);
    assert_int_equal(bench->notes[i].n_ends, 1);
    assert_int_equal(bench->notes[i].outcome, outcome);
    assert_string_equal(bench->notes[i].text, text);
}

/* ---- the straight way ---- */

static void test_calls_go_to_the_owner_of_their_slot(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    fake_redis_reply(bench.a, "$4\r\nof a\r\n");
    fake_redis_reply(bench.b, "$4\r\nof b\r\n");
    submit(&bench, 0, SLOT_OF_A);
    submit(&bench, 1, SLOT_OF_B);
    assert_ends(&bench, 0, STORE_OK, "of a");
    assert_ends(&bench, 1, STORE_OK, "of b");
    assert_string_equal(fake_redis_last(bench.a), "EVALSHA|0123456789012345678901234567890123456789|1|k0|arg");
    assert_string_equal(fake_redis_last(bench.b), "EVALSHA|0123456789012345678901234567890123456789|1|k1|arg");
    teardown(&bench);
}

static void test_before_the_map_is_known_calls_are_down(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    assert_int_equal(submit_for(&bench, 0, SLOT_OF_A, 1000000), STORE_DOWN);
    turn_until(bench.loop, cluster_is_ready(bench.cluster));
    assert_int_equal(bench.notes[0].n_ends, 0);
    teardown(&bench);
}

static void test_every_connection_is_greeted_with_the_script(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    turn_until(bench.loop, fake_redis_count(bench.a, "SCRIPT") == 1);
    assert_string_equal(fake_redis_last(bench.a), "SCRIPT|LOAD|return 10\n");
    turn_until(bench.loop, cluster_is_ready(bench.cluster));
    assert_int_equal(fake_redis_count(bench.b, "SCRIPT"), 1);
    fake_redis_drop_clients(bench.b);
    turn_until(bench.loop, fake_redis_count(bench.b, "SCRIPT") == 2);
    teardown(&bench);
}

static void log_in(struct bench *bench, const char *user, const char *password) {
    char nodes[32];
    snprintf(nodes, sizeof nodes, "127.0.0.1:%u", (unsigned)fake_redis_port(bench->a));
    struct cluster_options options = {
        .nodes = nodes,
        .user = user,
        .password = password,
        .connect_timeout_us = 500000,
        .refresh_every_us = REFRESH_EVERY_US,
        .max_inflight_per_node = 3,
        .scripts = scripts,
        .n_scripts = 1,
    };
    struct status status;
    cluster_destroy(&bench->cluster);
    bench->cluster = cluster_create(bench->loop, &options, &bench->metrics, &status);
    assert_non_null(bench->cluster);
}

static void test_every_connection_logs_in_first(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    log_in(&bench, "sluice", "hunter2");
    turn_until(bench.loop, cluster_is_ready(bench.cluster));
    assert_string_equal(fake_redis_heard(bench.b), "AUTH SCRIPT ");
    fake_redis_reply(bench.b, "+of b\r\n");
    submit(&bench, 0, SLOT_OF_B);
    assert_ends(&bench, 0, STORE_OK, "of b");
    teardown(&bench);
}

static void test_the_password_alone_is_the_default_users(void **state) {
    (void)state;
    static const char *const words[][2] = {{"sluice", "AUTH|sluice|hunter2"}, {"", "AUTH|hunter2"}};
    for (size_t i = 0; i < 2; i++) {
        struct bench bench;
        setup(&bench);
        log_in(&bench, words[i][0], "hunter2");
        turn_until(bench.loop, fake_redis_count(bench.a, "SCRIPT") > 0);
        assert_string_equal(fake_redis_login(bench.a), words[i][1]);
        teardown(&bench);
    }
}

static void test_a_wrong_password_is_tried_again(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_set_login(bench.a, "-WRONGPASS invalid username-password pair\r\n");
    log_in(&bench, NULL, "hunter2");
    turn_until(bench.loop, metric_get(&bench.metrics.errors_wrongpass) >= 2);
    assert_false(cluster_is_ready(bench.cluster));
    fake_redis_set_login(bench.a, "+OK\r\n");
    turn_until(bench.loop, cluster_is_ready(bench.cluster));
    teardown(&bench);
}

static void test_a_call_may_ask_again_from_its_end(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    fake_redis_reply(bench.a, "+first\r\n");
    fake_redis_reply(bench.a, "+second\r\n");
    bench.notes[0].asks_again = true;
    submit(&bench, 0, SLOT_OF_A);
    assert_ends(&bench, 0, STORE_OK, "second");
    teardown(&bench);
}

static void test_above_the_cap_calls_are_refused_and_counted(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    for (int i = 0; i < 3; i++) {
        submit(&bench, i, SLOT_OF_A);
    }
    assert_int_equal(submit_for(&bench, 3, SLOT_OF_A, 1000000), STORE_OVERLOADED);
    assert_int_equal(metric_get(&bench.metrics.over_inflight), 1);
    submit(&bench, 4, SLOT_OF_B);
    for (int i = 0; i < 5; i++) {
        if (i != 3) {
            cluster_abandon(&bench.notes[i].call);
        }
    }
    teardown(&bench);
}

/* ---- redirects ---- */

static void test_moved_is_followed_and_remembered(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    fake_redis_reply(bench.a, "-MOVED %d 127.0.0.1:%u\r\n", SLOT_OF_A, (unsigned)fake_redis_port(bench.b));
    fake_redis_reply(bench.b, "+of b\r\n");
    fake_redis_reply(bench.b, "+again\r\n");
    submit(&bench, 0, SLOT_OF_A);
    assert_ends(&bench, 0, STORE_OK, "of b");
    submit(&bench, 0, SLOT_OF_A);
    assert_ends(&bench, 0, STORE_OK, "again");
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 1);
    assert_int_equal(fake_redis_count(bench.b, "EVALSHA"), 2);
    assert_int_equal(metric_get(&bench.metrics.errors_moved), 1);
    turn_until(bench.loop, metric_get(&bench.metrics.refreshes) == 2);
    teardown(&bench);
}

static void test_moved_to_an_unknown_node_connects_and_waits(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    struct fake_redis *c = fake_redis_start(bench.loop, 0);
    fake_redis_reply(bench.a, "-MOVED %d 127.0.0.1:%u\r\n", SLOT_OF_A, (unsigned)fake_redis_port(c));
    fake_redis_reply(c, "+of c\r\n");
    submit(&bench, 0, SLOT_OF_A);
    assert_ends(&bench, 0, STORE_OK, "of c");
    assert_string_equal(fake_redis_heard(c), "SCRIPT EVALSHA ");
    fake_redis_stop(&c);
    teardown(&bench);
}

static void test_moved_without_a_host_means_the_same_host(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    fake_redis_reply(bench.a, "-MOVED %d :%u\r\n", SLOT_OF_A, (unsigned)fake_redis_port(bench.b));
    fake_redis_reply(bench.b, "+of b\r\n");
    submit(&bench, 0, SLOT_OF_A);
    assert_ends(&bench, 0, STORE_OK, "of b");
    teardown(&bench);
}

static void test_moved_in_a_circle_ends_after_five_hops(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    for (int i = 0; i < 4; i++) {
        fake_redis_reply(bench.a, "-MOVED %d 127.0.0.1:%u\r\n", SLOT_OF_A, (unsigned)fake_redis_port(bench.b));
        fake_redis_reply(bench.b, "-MOVED %d 127.0.0.1:%u\r\n", SLOT_OF_A, (unsigned)fake_redis_port(bench.a));
    }
    submit(&bench, 0, SLOT_OF_A);
    assert_ends(&bench, 0, STORE_REDIRECTED, "");
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 3);
    assert_int_equal(fake_redis_count(bench.b, "EVALSHA"), 3);
    teardown(&bench);
}

static void test_moved_to_a_dead_node_is_down(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    struct fake_redis *c = fake_redis_start(bench.loop, 0);
    unsigned dead_port = fake_redis_port(c);
    fake_redis_stop(&c);
    fake_redis_reply(bench.a, "-MOVED %d 127.0.0.1:%u\r\n", SLOT_OF_A, dead_port);
    submit(&bench, 0, SLOT_OF_A);
    assert_ends(&bench, 0, STORE_DOWN, "");
    teardown(&bench);
}

static void test_a_redirect_that_cannot_be_read_is_a_bad_reply(void **state) {
    (void)state;
    static const char *const texts[] = {"-MOVED\r\n", "-MOVED 5 nowhere\r\n", "-ASK 5 127.0.0.1:0\r\n"};
    struct bench bench;
    setup_ready(&bench);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        fake_redis_reply(bench.a, "%s", texts[i]);
        submit(&bench, 0, SLOT_OF_A);
        assert_ends(&bench, 0, STORE_BAD_REPLY, "");
    }
    teardown(&bench);
}

static void test_ask_is_followed_with_asking_and_the_body_but_not_remembered(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    fake_redis_reply(bench.a, "-ASK %d 127.0.0.1:%u\r\n", SLOT_OF_A, (unsigned)fake_redis_port(bench.b));
    fake_redis_reply(bench.b, "+OK\r\n");
    fake_redis_reply(bench.b, "+asked b\r\n");
    submit(&bench, 0, SLOT_OF_A);
    assert_ends(&bench, 0, STORE_OK, "asked b");
    assert_string_equal(fake_redis_heard(bench.b), "ASKING EVAL ");
    assert_string_equal(fake_redis_last(bench.b), "EVAL|return 10\n|1|k0|arg");
    fake_redis_reply(bench.a, "+of a\r\n");
    submit(&bench, 0, SLOT_OF_A);
    assert_ends(&bench, 0, STORE_OK, "of a");
    assert_int_equal(metric_get(&bench.metrics.errors_ask), 1);
    assert_int_equal(metric_get(&bench.metrics.errors_moved), 0);
    teardown(&bench);
}

static void test_a_plain_command_is_redirected_as_it_is(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    unsigned port_b = fake_redis_port(bench.b);
    fake_redis_reply(bench.a, "-ASK 5 127.0.0.1:%u\r\n", port_b);
    fake_redis_reply(bench.b, "+OK\r\n");
    fake_redis_reply(bench.b, "$2\r\nhi\r\n");
    struct note *note = &bench.notes[0];
    static const char command[] = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n";
    note->call = (struct cluster_call){.slot = SLOT_OF_A,
                                       .script = CLUSTER_PLAIN,
                                       .tail = {(const uint8_t *)command, sizeof command - 1},
                                       .done = on_done};
    int64_t now_us = clock_mono_us();
    assert_int_equal(cluster_submit(bench.cluster, &note->call, now_us + 1000000, now_us), STORE_OK);
    assert_ends(&bench, 0, STORE_OK, "hi");
    assert_string_equal(fake_redis_heard(bench.a), "GET ");
    assert_string_equal(fake_redis_heard(bench.b), "ASKING GET ");
    assert_string_equal(fake_redis_last(bench.b), "GET|k");
    teardown(&bench);
}

static void test_noscript_is_answered_with_the_body(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    fake_redis_reply(bench.a, "-NOSCRIPT No matching script. Please use EVAL.\r\n");
    fake_redis_reply(bench.a, "+with body\r\n");
    submit(&bench, 0, SLOT_OF_A);
    assert_ends(&bench, 0, STORE_OK, "with body");
    assert_string_equal(fake_redis_heard(bench.a), "EVALSHA EVAL ");
    assert_string_equal(fake_redis_last(bench.a), "EVAL|return 10\n|1|k0|arg");
    assert_int_equal(metric_get(&bench.metrics.errors_noscript), 1);
    teardown(&bench);
}

static void test_noscript_for_ever_ends(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    for (int i = 0; i < 8; i++) {
        fake_redis_reply(bench.a, "-NOSCRIPT\r\n");
    }
    submit(&bench, 0, SLOT_OF_A);
    assert_ends(&bench, 0, STORE_REDIRECTED, "");
    assert_int_equal(fake_redis_count(bench.a, "EVAL"), 5);
    teardown(&bench);
}

/* ---- refusals ---- */

static void test_other_errors_refuse_and_are_counted_by_code(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    fake_redis_reply(bench.a, "-OOM command not allowed\r\n");
    fake_redis_reply(bench.a, "-BUSY Redis is busy running a script\r\n");
    fake_redis_reply(bench.a, "-ERR something new\r\n");
    for (int i = 0; i < 3; i++) {
        submit(&bench, i, SLOT_OF_A);
    }
    for (int i = 0; i < 3; i++) {
        assert_ends(&bench, i, STORE_REFUSED, "");
    }
    assert_int_equal(metric_get(&bench.metrics.errors_oom), 1);
    assert_int_equal(metric_get(&bench.metrics.errors_busy), 1);
    assert_int_equal(metric_get(&bench.metrics.errors_other), 1);
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 3);
    teardown(&bench);
}

static void test_clusterdown_refuses_and_has_the_map_read_anew(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    fake_redis_reply(bench.a, "-CLUSTERDOWN Hash slot not served\r\n");
    submit(&bench, 0, SLOT_OF_A);
    assert_ends(&bench, 0, STORE_REFUSED, "");
    turn_until(bench.loop, metric_get(&bench.metrics.refreshes) == 2);
    teardown(&bench);
}

static void test_readonly_is_sent_once_more_and_has_the_map_read_anew(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    fake_redis_reply(bench.a, "-READONLY You can't write against a read only replica.\r\n");
    fake_redis_reply(bench.a, "+master again\r\n");
    submit(&bench, 0, SLOT_OF_A);
    assert_ends(&bench, 0, STORE_OK, "master again");
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 2);
    turn_until(bench.loop, metric_get(&bench.metrics.refreshes) == 2);
    teardown(&bench);
}

static void test_readonly_twice_refuses(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    for (int i = 0; i < 4; i++) {
        fake_redis_reply(bench.a, "-READONLY\r\n");
    }
    for (int i = 0; i < 2; i++) { /* the second call has its own second chance */
        submit(&bench, 0, SLOT_OF_A);
        assert_ends(&bench, 0, STORE_REFUSED, "");
        assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 2 * (i + 1));
    }
    assert_int_equal(metric_get(&bench.metrics.errors_readonly), 4);
    teardown(&bench);
}

static void test_tryagain_is_sent_again_after_some_milliseconds(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    fake_redis_reply(bench.a, "-TRYAGAIN Multiple keys request during rehashing of slot\r\n");
    fake_redis_reply(bench.a, "-TRYAGAIN\r\n");
    fake_redis_reply(bench.a, "+at last\r\n");
    int64_t start_us = clock_mono_us();
    submit(&bench, 0, SLOT_OF_A);
    assert_ends(&bench, 0, STORE_OK, "at last");
    assert_true(clock_mono_us() - start_us >= 2 * 4000); /* libev's clock may lag by a turn */
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 3);
    teardown(&bench);
}

static void test_tryagain_goes_to_whoever_owns_the_slot_by_then(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    fake_redis_reply(bench.a, "-TRYAGAIN\r\n");
    fake_redis_reply(bench.a, "-MOVED %d 127.0.0.1:%u\r\n", SLOT_OF_A, (unsigned)fake_redis_port(bench.b));
    fake_redis_reply(bench.b, "+first\r\n");
    fake_redis_reply(bench.b, "+second\r\n");
    submit(&bench, 0, SLOT_OF_A);
    submit(&bench, 1, SLOT_OF_A);
    assert_ends(&bench, 1, STORE_OK, "first");
    assert_ends(&bench, 0, STORE_OK, "second");
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 2);
    teardown(&bench);
}

static void test_tryagain_without_time_left_refuses_at_once(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    fake_redis_reply(bench.a, "-TRYAGAIN\r\n");
    assert_int_equal(submit_for(&bench, 0, SLOT_OF_A, 5000), STORE_OK);
    turn_until(bench.loop, bench.notes[0].n_ends > 0);
    if (metric_get(&bench.metrics.timeouts) == 0) { /* on a slow machine the deadline comes first */
        assert_int_equal(bench.notes[0].outcome, STORE_REFUSED);
    }
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 1);
    teardown(&bench);
}

static void test_the_deadline_holds_behind_tryagain(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    fake_redis_reply(bench.a, "-TRYAGAIN\r\n");
    assert_int_equal(submit_for(&bench, 0, SLOT_OF_A, 60000), STORE_OK);
    assert_ends(&bench, 0, STORE_TIMEOUT, "");
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 2);
    teardown(&bench);
}

static void test_abandoned_while_it_waits_it_is_never_sent(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    fake_redis_reply(bench.a, "-TRYAGAIN\r\n");
    submit(&bench, 0, SLOT_OF_A);
    turn_until(bench.loop, metric_get(&bench.metrics.errors_tryagain) == 1);
    cluster_abandon(&bench.notes[0].call);
    fake_redis_reply(bench.a, "+of a\r\n");
    submit(&bench, 1, SLOT_OF_A);
    assert_ends(&bench, 1, STORE_OK, "of a");
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 2);
    assert_int_equal(bench.notes[0].n_ends, 0);
    teardown(&bench);
}

/* ---- loss and deadlines ---- */

static void test_lost_in_flight_is_reported_once_and_never_sent_again(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    submit(&bench, 0, SLOT_OF_A);
    submit(&bench, 1, SLOT_OF_A);
    turn_until(bench.loop, fake_redis_count(bench.a, "EVALSHA") == 2);
    fake_redis_drop_clients(bench.a);
    assert_ends(&bench, 0, STORE_LOST, "");
    assert_ends(&bench, 1, STORE_LOST, "");
    assert_int_equal(metric_get(&bench.metrics.ambiguous), 2);
    turn_until(bench.loop, cluster_is_ready(bench.cluster));
    fake_redis_reply(bench.a, "+of a\r\n");
    submit(&bench, 2, SLOT_OF_A);
    assert_ends(&bench, 2, STORE_OK, "of a");
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 3);
    assert_int_equal(bench.notes[0].n_ends, 1);
    teardown(&bench);
}

static void test_a_call_may_ask_again_from_its_loss(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    bench.notes[0].asks_again = true;
    submit(&bench, 0, SLOT_OF_A);
    turn_until(bench.loop, fake_redis_count(bench.a, "EVALSHA") == 1);
    fake_redis_drop_clients(bench.a);
    assert_ends(&bench, 0, STORE_DOWN, ""); /* the node is backing off */
    teardown(&bench);
}

static void test_a_failover_is_learnt_from_the_nodes_left(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    fake_redis_set_owners(bench.b, "127.0.0.1", bench.b, SPLIT, bench.b, 0);
    fake_redis_stop(&bench.a);
    turn_until(bench.loop, !cluster_is_ready(bench.cluster));
    assert_int_equal(submit_for(&bench, 0, SLOT_OF_A, 1000000), STORE_DOWN);
    turn_until(bench.loop, cluster_is_ready(bench.cluster));
    fake_redis_reply(bench.b, "+promoted\r\n");
    submit(&bench, 0, SLOT_OF_A);
    assert_ends(&bench, 0, STORE_OK, "promoted");
    teardown(&bench);
}

static void test_at_the_deadline_a_call_ends_and_its_late_reply_is_dropped(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    assert_int_equal(submit_for(&bench, 0, SLOT_OF_A, 5000), STORE_OK);
    submit(&bench, 1, SLOT_OF_A);
    assert_ends(&bench, 0, STORE_TIMEOUT, "");
    assert_int_equal(bench.notes[1].n_ends, 0);
    assert_int_equal(metric_get(&bench.metrics.timeouts), 1);
    fake_redis_send(bench.a, "+late\r\n+in time\r\n");
    assert_ends(&bench, 1, STORE_OK, "in time");
    assert_int_equal(bench.notes[0].n_ends, 1);
    assert_int_equal(metric_get(&bench.metrics.late_replies), 1);
    teardown(&bench);
}

static void test_after_a_pause_of_our_own_a_reply_that_is_there_counts(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    int64_t deadline_us = clock_mono_us() + 100000;
    assert_int_equal(submit_for(&bench, 0, SLOT_OF_A, 100000), STORE_OK);
    turn_until(bench.loop, fake_redis_count(bench.a, "EVALSHA") == 1);
    fake_redis_send(bench.a, "+in time\r\n");
    ev_run(bench.loop, EVRUN_NOWAIT); /* the node writes */
    while (clock_mono_us() < deadline_us + 5000) {
    }
    assert_ends(&bench, 0, STORE_OK, "in time");
    teardown(&bench);
}

static void test_the_deadline_holds_through_redirects(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    fake_redis_reply(bench.a, "-MOVED %d 127.0.0.1:%u\r\n", SLOT_OF_A, (unsigned)fake_redis_port(bench.b));
    int64_t start_us = clock_mono_us();
    assert_int_equal(submit_for(&bench, 0, SLOT_OF_A, 30000), STORE_OK);
    assert_ends(&bench, 0, STORE_TIMEOUT, "");
    assert_true(clock_mono_us() - start_us >= 25000);
    assert_int_equal(fake_redis_count(bench.b, "EVALSHA"), 1);
    teardown(&bench);
}

static void test_a_deadline_that_has_passed_sends_nothing(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    assert_int_equal(submit_for(&bench, 0, SLOT_OF_A, 0), STORE_TIMEOUT);
    fake_redis_reply(bench.a, "+of a\r\n");
    submit(&bench, 1, SLOT_OF_A);
    assert_ends(&bench, 1, STORE_OK, "of a");
    assert_string_equal(fake_redis_last(bench.a), "EVALSHA|0123456789012345678901234567890123456789|1|k1|arg");
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 1);
    teardown(&bench);
}

static void test_an_abandoned_call_is_never_done(void **state) {
    (void)state;
    struct bench bench;
    setup_ready(&bench);
    submit(&bench, 0, SLOT_OF_A);
    submit(&bench, 1, SLOT_OF_A);
    turn_until(bench.loop, fake_redis_count(bench.a, "EVALSHA") == 2);
    cluster_abandon(&bench.notes[0].call);
    fake_redis_send(bench.a, "+late\r\n+mine\r\n");
    assert_ends(&bench, 1, STORE_OK, "mine");
    assert_int_equal(bench.notes[0].n_ends, 0);
    teardown(&bench);
}

/* ---- the breaker ---- */

#define NO_SILENCE_US INT64_C(60000000)

static void fail_by_oom(struct bench *bench, int n) {
    for (int i = 0; i < n; i++) {
        fake_redis_reply(bench->a, "-OOM command not allowed\r\n");
        submit(bench, 0, SLOT_OF_A);
        assert_ends(bench, 0, STORE_REFUSED, "");
    }
}

static void assert_open(struct bench *bench) {
    uint64_t n_refusals = metric_get(&bench->metrics.breaker_refusals);
    assert_int_equal(metric_get(&bench->metrics.breakers_open), 1);
    assert_int_equal(submit_for(bench, 7, SLOT_OF_A, 1000000), STORE_DOWN);
    assert_int_equal(metric_get(&bench->metrics.breaker_refusals), n_refusals + 1);
}

/* Asks until the breaker lets a call pass. */
static void submit_probe(struct bench *bench) {
    turn_until(bench->loop, submit_for(bench, 0, SLOT_OF_A, 1000000) == STORE_OK);
}

static void test_failures_open_the_breaker_of_their_node_alone(void **state) {
    (void)state;
    struct bench bench;
    setup_brittle(&bench, NO_SILENCE_US);
    fail_by_oom(&bench, 3);
    assert_int_equal(metric_get(&bench.metrics.breakers_open), 0);
    fail_by_oom(&bench, 1);
    assert_open(&bench);
    assert_int_equal(metric_get(&bench.metrics.breaker_opens), 1);
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 4);
    fake_redis_reply(bench.b, "+of b\r\n");
    submit(&bench, 1, SLOT_OF_B);
    assert_ends(&bench, 1, STORE_OK, "of b");
    teardown(&bench);
    assert_int_equal(metric_get(&bench.metrics.breakers_open), 0);
}

static void test_five_good_probes_close_the_breaker(void **state) {
    (void)state;
    struct bench bench;
    setup_brittle(&bench, NO_SILENCE_US);
    fail_by_oom(&bench, 4);
    for (int i = 0; i < 5; i++) {
        submit_probe(&bench);
        assert_open(&bench); /* to all others */
        fake_redis_send(bench.a, "+probe\r\n");
        assert_ends(&bench, 0, STORE_OK, "probe");
    }
    assert_int_equal(metric_get(&bench.metrics.breakers_open), 0);
    assert_int_equal(metric_get(&bench.metrics.breaker_opens), 1);
    submit(&bench, 0, SLOT_OF_A);
    submit(&bench, 1, SLOT_OF_A);
    cluster_abandon(&bench.notes[0].call);
    cluster_abandon(&bench.notes[1].call);
    teardown(&bench);
}

static void test_a_probe_abandoned_or_without_its_script_does_not_stick(void **state) {
    (void)state;
    struct bench bench;
    setup_brittle(&bench, NO_SILENCE_US);
    fail_by_oom(&bench, 4);
    submit_probe(&bench);
    cluster_abandon(&bench.notes[0].call);
    for (int i = 0; i < 5; i++) {
        fake_redis_reply(bench.a, "-NOSCRIPT\r\n");
        fake_redis_reply(bench.a, "+with body\r\n");
        submit_probe(&bench);
        assert_ends(&bench, 0, STORE_OK, "with body");
    }
    assert_int_equal(metric_get(&bench.metrics.breakers_open), 0);
    teardown(&bench);
}

static void test_a_node_that_hangs_is_left_alone(void **state) {
    (void)state;
    struct bench bench;
    setup_brittle(&bench, 20000);
    submit(&bench, 1, SLOT_OF_A);
    turn_until(bench.loop, metric_get(&bench.metrics.breakers_open) == 1 ||
                               submit_for(&bench, 0, SLOT_OF_A, 1000) != STORE_OK ||
                               (cluster_abandon(&bench.notes[0].call), false));
    assert_open(&bench);
    cluster_abandon(&bench.notes[1].call);
    teardown(&bench);
}

static void test_deadlines_and_losses_are_failures(void **state) {
    (void)state;
    struct bench bench;
    setup_brittle(&bench, NO_SILENCE_US);
    assert_int_equal(submit_for(&bench, 0, SLOT_OF_A, 5000), STORE_OK);
    assert_ends(&bench, 0, STORE_TIMEOUT, "");
    submit(&bench, 1, SLOT_OF_A);
    submit(&bench, 2, SLOT_OF_A);
    turn_until(bench.loop, fake_redis_count(bench.a, "EVALSHA") == 3);
    fake_redis_drop_clients(bench.a);
    assert_ends(&bench, 2, STORE_LOST, "");
    assert_int_equal(metric_get(&bench.metrics.breakers_open), 0);
    assert_int_equal(submit_for(&bench, 0, SLOT_OF_A, 1000000), STORE_DOWN);
    assert_int_equal(metric_get(&bench.metrics.breakers_open), 1);
    turn_until(bench.loop, cluster_is_ready(bench.cluster));
    fake_redis_reply(bench.a, "+back\r\n");
    submit(&bench, 0, SLOT_OF_A); /* a new connection is tried at once */
    assert_ends(&bench, 0, STORE_OK, "back");
    teardown(&bench);
}

static void test_an_early_deadline_does_not_blame_the_node(void **state) {
    (void)state;
    struct bench bench;
    setup_brittle(&bench, NO_SILENCE_US);
    for (int i = 0; i < 3; i++) {
        submit(&bench, i, SLOT_OF_A);
    }
    fake_redis_drop_clients(bench.a);
    turn_until(bench.loop, bench.notes[2].n_ends > 0);
    turn_until(bench.loop, cluster_is_ready(bench.cluster));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(submit_for(&bench, 0, SLOT_OF_A, 1), STORE_OK);
        assert_ends(&bench, 0, STORE_TIMEOUT, "");
    }
    assert_int_equal(metric_get(&bench.metrics.breakers_open), 0);
    teardown(&bench);
}

static void test_redirects_and_a_full_node_are_no_failures(void **state) {
    (void)state;
    struct bench bench;
    setup_brittle(&bench, NO_SILENCE_US);
    for (int i = 0; i < 8; i++) {
        fake_redis_reply(bench.a, "-ASK %d 127.0.0.1:%u\r\n", SLOT_OF_A, (unsigned)fake_redis_port(bench.b));
        fake_redis_reply(bench.b, "+OK\r\n");
        fake_redis_reply(bench.b, "+of b\r\n");
        submit(&bench, 0, SLOT_OF_A);
        assert_ends(&bench, 0, STORE_OK, "of b");
    }
    for (int i = 0; i < 3; i++) {
        submit(&bench, i, SLOT_OF_A);
    }
    for (int i = 0; i < 8; i++) {
        assert_int_equal(submit_for(&bench, 3, SLOT_OF_A, 1000000), STORE_OVERLOADED);
    }
    assert_int_equal(metric_get(&bench.metrics.over_inflight), 8);
    assert_int_equal(metric_get(&bench.metrics.breakers_open), 0);
    for (int i = 0; i < 3; i++) {
        cluster_abandon(&bench.notes[i].call);
    }
    teardown(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_go_to_the_owner_of_their_slot),
        cmocka_unit_test(test_before_the_map_is_known_calls_are_down),
        cmocka_unit_test(test_every_connection_is_greeted_with_the_script),
        cmocka_unit_test(test_every_connection_logs_in_first),
        cmocka_unit_test(test_the_password_alone_is_the_default_users),
        cmocka_unit_test(test_a_wrong_password_is_tried_again),
        cmocka_unit_test(test_a_call_may_ask_again_from_its_end),
        cmocka_unit_test(test_above_the_cap_calls_are_refused_and_counted),
        cmocka_unit_test(test_moved_is_followed_and_remembered),
        cmocka_unit_test(test_moved_to_an_unknown_node_connects_and_waits),
        cmocka_unit_test(test_moved_without_a_host_means_the_same_host),
        cmocka_unit_test(test_moved_in_a_circle_ends_after_five_hops),
        cmocka_unit_test(test_moved_to_a_dead_node_is_down),
        cmocka_unit_test(test_a_redirect_that_cannot_be_read_is_a_bad_reply),
        cmocka_unit_test(test_ask_is_followed_with_asking_and_the_body_but_not_remembered),
        cmocka_unit_test(test_a_plain_command_is_redirected_as_it_is),
        cmocka_unit_test(test_noscript_is_answered_with_the_body),
        cmocka_unit_test(test_noscript_for_ever_ends),
        cmocka_unit_test(test_other_errors_refuse_and_are_counted_by_code),
        cmocka_unit_test(test_clusterdown_refuses_and_has_the_map_read_anew),
        cmocka_unit_test(test_readonly_is_sent_once_more_and_has_the_map_read_anew),
        cmocka_unit_test(test_readonly_twice_refuses),
        cmocka_unit_test(test_tryagain_is_sent_again_after_some_milliseconds),
        cmocka_unit_test(test_tryagain_goes_to_whoever_owns_the_slot_by_then),
        cmocka_unit_test(test_tryagain_without_time_left_refuses_at_once),
        cmocka_unit_test(test_the_deadline_holds_behind_tryagain),
        cmocka_unit_test(test_abandoned_while_it_waits_it_is_never_sent),
        cmocka_unit_test(test_lost_in_flight_is_reported_once_and_never_sent_again),
        cmocka_unit_test(test_a_call_may_ask_again_from_its_loss),
        cmocka_unit_test(test_a_failover_is_learnt_from_the_nodes_left),
        cmocka_unit_test(test_at_the_deadline_a_call_ends_and_its_late_reply_is_dropped),
        cmocka_unit_test(test_after_a_pause_of_our_own_a_reply_that_is_there_counts),
        cmocka_unit_test(test_the_deadline_holds_through_redirects),
        cmocka_unit_test(test_a_deadline_that_has_passed_sends_nothing),
        cmocka_unit_test(test_an_abandoned_call_is_never_done),
        cmocka_unit_test(test_failures_open_the_breaker_of_their_node_alone),
        cmocka_unit_test(test_five_good_probes_close_the_breaker),
        cmocka_unit_test(test_a_probe_abandoned_or_without_its_script_does_not_stick),
        cmocka_unit_test(test_a_node_that_hangs_is_left_alone),
        cmocka_unit_test(test_deadlines_and_losses_are_failures),
        cmocka_unit_test(test_an_early_deadline_does_not_blame_the_node),
        cmocka_unit_test(test_redirects_and_a_full_node_are_no_failures),
    };
    log_configure(LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
