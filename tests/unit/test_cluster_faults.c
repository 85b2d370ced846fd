/* test_cluster_faults.c — nodes that send calls in circles, to nowhere, or into silence; every call ends. */
#include "tests/support/test_prelude.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/store/cluster.h"
#include "server/store/redis_request.h"
#include "tests/support/fake_redis.h"

enum { SLOT = 5, SPLIT = 8192, USUAL_TIMEOUT_US = 1000000 };

static const struct script script = {
    .name = "ten",
    .body = "return 10\n",
    .body_bytes = 10,
    .n_keys = 1,
    .sha1 = "0123456789012345678901234567890123456789",
};
static const struct script *const scripts[] = {&script};

struct bench {
    struct ev_loop *loop;
    struct fake_redis *a, *b; /* of the slots below SPLIT, and of the others */
    struct redis_metrics metrics;
    struct cluster *cluster;
};

struct asked {
    struct cluster_call call;
    uint8_t tail[64];
    int n_ends;
    enum store_outcome outcome;
    char text[32];
};

/* With nodes that write `slice_bytes` bytes at a time; 0: all at once. */
static void setup(struct bench *bench, size_t slice_bytes) {
    *bench = (struct bench){.loop = ev_loop_new(EVFLAG_AUTO)};
    bench->a = fake_redis_start(bench->loop, 0);
    bench->b = fake_redis_start(bench->loop, 0);
    fake_redis_set_slice(bench->a, slice_bytes);
    fake_redis_set_slice(bench->b, slice_bytes);
    fake_redis_set_owners(bench->a, "127.0.0.1", bench->a, SPLIT, bench->b, 0);
    fake_redis_set_owners(bench->b, "127.0.0.1", bench->a, SPLIT, bench->b, 0);
    char nodes[32];
    snprintf(nodes, sizeof nodes, "127.0.0.1:%u", (unsigned)fake_redis_port(bench->a));
    struct cluster_options options = {
        .nodes = nodes,
        .connect_timeout_us = 500000,
        .refresh_every_us = 50000,
        .max_inflight_per_node = 3,
        .scripts = scripts,
        .n_scripts = 1,
    };
    struct status status;
    bench->cluster = cluster_create(bench->loop, &options, &bench->metrics, &status);
    assert_non_null(bench->cluster);
    turn_until(bench->loop, cluster_is_ready(bench->cluster));
    fake_redis_forget(bench->a);
    fake_redis_forget(bench->b);
}

static void teardown(struct bench *bench) {
    cluster_destroy(&bench->cluster);
    fake_redis_stop(&bench->a);
    fake_redis_stop(&bench->b);
    ev_loop_destroy(bench->loop);
}

static void on_done(struct cluster_call *call, enum store_outcome outcome, const struct redis_reply *reply) {
    struct asked *asked = list_entry(call, struct asked, call);
    asked->n_ends++;
    asked->outcome = outcome;
    if (reply != NULL) {
        snprintf(asked->text, sizeof asked->text, "%.*s", (int)reply->text.len, (const char *)reply->text.data);
    }
}

static void ask(struct bench *bench, struct asked *asked, uint16_t slot, int64_t timeout_us) {
    static const struct bytes key = {.data = (const uint8_t *)"k", .len = 1};
    *asked = (struct asked){.n_ends = 0};
    size_t n = redis_put_tail(key, key, asked->tail);
    asked->call = (struct cluster_call){.slot = slot, .tail = {.data = asked->tail, .len = n}, .done = on_done};
    int64_t now_us = clock_mono_us();
    ev_now_update(bench->loop);
    assert_int_equal(cluster_submit(bench->cluster, &asked->call, now_us + timeout_us, now_us), STORE_OK);
}

static void assert_ends(struct bench *bench, const struct asked *asked, enum store_outcome outcome,
                        const char *text) {
    turn_until(bench->loop, asked->n_ends > 0);
    assert_int_equal(asked->n_ends, 1);
    assert_int_equal(asked->outcome, outcome);
    assert_string_equal(asked->text, text);
}

static void ask_and_assert(struct bench *bench, enum store_outcome outcome, const char *text) {
    struct asked asked;
    ask(bench, &asked, SLOT, USUAL_TIMEOUT_US);
    assert_ends(bench, &asked, outcome, text);
}

static unsigned port(const struct fake_redis *fake) {
    return fake_redis_port(fake);
}

static unsigned dead_port(struct bench *bench) {
    struct fake_redis *dead = fake_redis_start(bench->loop, 0);
    unsigned number = port(dead);
    fake_redis_stop(&dead);
    return number;
}

/* Its queue of connections is full: the kernel answers no further one, as if a cable were cut. */
struct mute {
    int fds[3];
    uint16_t port;
};

static void mute_open(struct mute *mute) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    for (int i = 0; i < 3; i++) {
        mute->fds[i] = socket(AF_INET, SOCK_STREAM | (i > 0 ? SOCK_NONBLOCK : 0), 0);
        assert_true(mute->fds[i] >= 0);
    }
    assert_int_equal(bind(mute->fds[0], (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(mute->fds[0], 0), 0);
    assert_int_equal(getsockname(mute->fds[0], (struct sockaddr *)&address, &len), 0);
    mute->port = ntohs(address.sin_port);
    for (int i = 1; i < 3; i++) {
        (void)connect(mute->fds[i], (struct sockaddr *)&address, len);
    }
}

static void mute_close(const struct mute *mute) {
    for (int i = 0; i < 3; i++) {
        close(mute->fds[i]);
    }
}

/* ---- MOVED ---- */

static void test_moved_to_itself_ends_after_five_hops(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 0);
    for (int i = 0; i < 8; i++) {
        fake_redis_reply(bench.a, "-MOVED %d 127.0.0.1:%u\r\n", SLOT, port(bench.a));
    }
    ask_and_assert(&bench, STORE_REDIRECTED, "");
    assert_int_equal(fake_redis_count(bench.a, "EVALSHA"), 6);
    teardown(&bench);
}

static void test_moved_to_an_address_that_never_answers_ends_at_the_deadline(void **state) {
    (void)state;
    struct bench bench;
    struct mute mute;
    struct asked lost, other;
    setup(&bench, 0);
    mute_open(&mute);
    fake_redis_reply(bench.a, "-MOVED %d 127.0.0.1:%u\r\n", SLOT, (unsigned)mute.port);
    fake_redis_reply(bench.a, "+of a\r\n");
    int64_t start_us = clock_mono_us();
    ask(&bench, &lost, SLOT, 30000);
    turn_until(bench.loop, metric_get(&bench.metrics.errors_moved) == 1);
    ask(&bench, &other, SLOT + 1, USUAL_TIMEOUT_US); /* what is not there is no burden to the rest */
    assert_ends(&bench, &other, STORE_OK, "of a");
    assert_ends(&bench, &lost, STORE_DOWN, "");
    assert_in_range(clock_mono_us() - start_us, 25000, 400000); /* not the connect timeout's 500 ms */
    mute_close(&mute);
    teardown(&bench);
}

static void test_moved_to_a_node_that_never_greets_ends_at_the_deadline(void **state) {
    (void)state;
    struct bench bench;
    struct asked asked;
    setup(&bench, 0);
    struct fake_redis *c = fake_redis_start(bench.loop, 0);
    fake_redis_set_greeting(c, "");
    fake_redis_reply(bench.a, "-MOVED %d 127.0.0.1:%u\r\n", SLOT, port(c));
    ask(&bench, &asked, SLOT, 30000);
    assert_ends(&bench, &asked, STORE_DOWN, "");
    assert_int_equal(fake_redis_count(c, "EVALSHA"), 0);
    assert_int_equal(metric_get(&bench.metrics.timeouts), 0);
    fake_redis_stop(&c);
    teardown(&bench);
}

/* ---- ASK ---- */

static void test_ask_to_a_dead_node_is_down_and_not_remembered(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 0);
    fake_redis_reply(bench.a, "-ASK %d 127.0.0.1:%u\r\n", SLOT, dead_port(&bench));
    ask_and_assert(&bench, STORE_DOWN, "");
    fake_redis_reply(bench.a, "+of a\r\n");
    ask_and_assert(&bench, STORE_OK, "of a");
    teardown(&bench);
}

/* It refuses ASKING as well as what comes behind it; the second reply is the one that counts. */
static void test_ask_to_a_node_that_refuses_goes_on_from_there(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 0);
    fake_redis_reply(bench.a, "-ASK %d :%u\r\n", SLOT, port(bench.b));
    fake_redis_reply(bench.b, "-ERR This instance has cluster support disabled\r\n");
    fake_redis_reply(bench.b, "-MOVED %d 127.0.0.1:%u\r\n", SLOT, port(bench.a));
    fake_redis_reply(bench.a, "+of a\r\n");
    ask_and_assert(&bench, STORE_OK, "of a");
    fake_redis_reply(bench.a, "-ASK %d 127.0.0.1:%u\r\n", SLOT, port(bench.b));
    fake_redis_reply(bench.b, "-ERR no\r\n");
    fake_redis_reply(bench.b, "-CLUSTERDOWN no\r\n");
    ask_and_assert(&bench, STORE_REFUSED, "");
    assert_int_equal(metric_get(&bench.metrics.errors_other), 0); /* what ASKING is told is not counted */
    teardown(&bench);
}

static void test_ask_in_a_circle_ends_after_five_hops(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 0);
    struct fake_redis *const nodes[] = {bench.a, bench.b};
    for (int i = 0; i < 8; i++) {
        if (i > 0) {
            fake_redis_reply(nodes[i % 2], "+OK\r\n");
        }
        fake_redis_reply(nodes[i % 2], "-ASK %d 127.0.0.1:%u\r\n", SLOT, port(nodes[(i + 1) % 2]));
    }
    ask_and_assert(&bench, STORE_REDIRECTED, "");
    assert_int_equal(fake_redis_count(bench.a, "EVAL") + fake_redis_count(bench.b, "EVAL"), 5);
    teardown(&bench);
}

/* ---- the stream ---- */

static void test_all_that_nodes_say_may_come_byte_by_byte(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench, 1);
    fake_redis_reply(bench.a, "-MOVED %d 127.0.0.1:%u\r\n", SLOT, port(bench.b));
    fake_redis_reply(bench.b, "-ASK %d 127.0.0.1:%u\r\n", SLOT, port(bench.a));
    fake_redis_reply(bench.a, "+OK\r\n");
    fake_redis_reply(bench.a, "$4\r\nof a\r\n");
    ask_and_assert(&bench, STORE_OK, "of a");
    teardown(&bench);
}

static void test_a_reply_that_breaks_off_is_lost_and_counted(void **state) {
    (void)state;
    struct bench bench;
    struct asked asked;
    setup(&bench, 0);
    fake_redis_reply(bench.a, "$4\r\nof");
    ask(&bench, &asked, SLOT, USUAL_TIMEOUT_US);
    turn_until(bench.loop, fake_redis_count(bench.a, "EVALSHA") == 1);
    for (int i = 0; i < 3; i++) {
        ev_run(bench.loop, EVRUN_NOWAIT);
    }
    fake_redis_drop_clients(bench.a);
    assert_ends(&bench, &asked, STORE_LOST, "");
    assert_int_equal(metric_get(&bench.metrics.ambiguous), 1);
    turn_until(bench.loop, cluster_is_ready(bench.cluster));
    fake_redis_reply(bench.a, "+of a\r\n"); /* nothing of the old stream is left */
    ask_and_assert(&bench, STORE_OK, "of a");
    teardown(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moved_to_itself_ends_after_five_hops),
        cmocka_unit_test(test_moved_to_an_address_that_never_answers_ends_at_the_deadline),
        cmocka_unit_test(test_moved_to_a_node_that_never_greets_ends_at_the_deadline),
        cmocka_unit_test(test_ask_to_a_dead_node_is_down_and_not_remembered),
        cmocka_unit_test(test_ask_to_a_node_that_refuses_goes_on_from_there),
        cmocka_unit_test(test_ask_in_a_circle_ends_after_five_hops),
        cmocka_unit_test(test_all_that_nodes_say_may_come_byte_by_byte),
        cmocka_unit_test(test_a_reply_that_breaks_off_is_lost_and_counted),
    };
    log_configure(LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
