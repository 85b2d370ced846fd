/* test_allocation_network.c — asking Redis, and asking a frontend, while memory fails; the peers have enough. */
#include "tests/support/test_prelude.h"

#include <ev.h>
#include <pthread.h>

#include "client/sluice.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/store/cluster.h"
#include "server/store/redis_request.h"
#include "server/store/redis_store.h"
#include "tests/support/failing_malloc.h"
#include "tests/support/fake_frontend.h"
#include "tests/support/fake_redis.h"

/* Two loops take turns, so that the peer's allocations are told from those that may fail. */
struct world {
    struct ev_loop *loop, *peer_loop;
    struct fake_redis *a, *b;
    struct fake_frontend *frontend;
};

static void turn(const struct world *world) {
    failing_malloc_begin();
    ev_run(world->loop, EVRUN_NOWAIT);
    failing_malloc_end();
    ev_run(world->peer_loop, EVRUN_NOWAIT);
}

/* Turns both loops while `condition` holds, for so long at most. */
#define turn_while(world, condition, timeout_us)                                                               \
    for (int64_t until_us = clock_mono_us() + (timeout_us); (condition) && clock_mono_us() < until_us;) {      \
        turn(world);                                                                                           \
    }

static struct bytes of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static void assert_out_of_memory(const char *reason) {
    assert_true(failing_malloc_has_failed());
    assert_non_null(strstr(reason, "out of memory"));
}

static void start_nodes(struct world *world) {
    world->a = fake_redis_start(world->peer_loop, 0);
    world->b = fake_redis_start(world->peer_loop, 0);
    fake_redis_set_owners(world->a, "127.0.0.1", world->a, 8192, world->b, 0);
    fake_redis_set_owners(world->b, "127.0.0.1", world->a, 8192, world->b, 0);
}

static void stop_nodes(struct world *world) {
    fake_redis_stop(&world->a);
    fake_redis_stop(&world->b);
}

/* ---- the cluster: connecting, greeting, the map, a call, its reply, a redirect ---- */

enum { MEMORY_IS_SHORT_US = 20000, PATIENCE_US = 2000000 };

static const struct script script = {
    .name = "ten",
    .body = "return 10\n",
    .body_bytes = 10,
    .n_keys = 1,
    .sha1 = "0123456789012345678901234567890123456789",
};
static const struct script *const scripts[] = {&script};

struct cluster_note {
    struct cluster_call call;
    uint8_t tail[128];
    int n_ends;
    enum store_outcome outcome;
};

static void note_end(struct cluster_call *call, enum store_outcome outcome, const struct redis_reply *reply) {
    struct cluster_note *note = list_entry(call, struct cluster_note, call);
    assert_true((outcome == STORE_OK) == (reply != NULL));
    note->n_ends++;
    note->outcome = outcome;
}

/* One call, to its end; MOVED points to the other node, which is asked by then. */
static enum store_outcome call_cluster(const struct world *world, struct cluster *cluster, bool is_moved) {
    struct cluster_note note = {.n_ends = 0};
    size_t n = redis_put_tail(of("key"), of("arg"), note.tail);
    note.call = (struct cluster_call){.slot = 5, .tail = {.data = note.tail, .len = n}, .done = note_end};
    if (is_moved) {
        fake_redis_reply(world->a, "-MOVED 5 127.0.0.1:%u\r\n", (unsigned)fake_redis_port(world->b));
    }
    fake_redis_reply(world->a, "+of a\r\n");
    fake_redis_reply(world->b, "+of b\r\n");
    int64_t now_us = clock_mono_us();
    ev_now_update(world->loop);
    failing_malloc_begin();
    enum store_outcome outcome = cluster_submit(cluster, &note.call, now_us + PATIENCE_US, now_us);
    failing_malloc_end();
    if (outcome != STORE_OK) {
        return outcome;
    }
    turn_while(world, note.n_ends == 0 && !failing_malloc_has_failed(), PATIENCE_US);
    turn_while(world, note.n_ends == 0, MEMORY_IS_SHORT_US);
    failing_malloc_relieve(); /* what could not be written is written now */
    turn_while(world, note.n_ends == 0, PATIENCE_US);
    assert_int_equal(note.n_ends, 1);
    return note.outcome;
}

static struct cluster *make_cluster(const struct world *world, struct redis_metrics *metrics) {
    char nodes[32];
    struct status status = {""};
    snprintf(nodes, sizeof nodes, "127.0.0.1:%u", (unsigned)fake_redis_port(world->a));
    struct cluster_options options = {
        .nodes = nodes,
        .connect_timeout_us = 500000,
        .refresh_every_us = 10000,
        .max_inflight_per_node = 100,
        .scripts = scripts,
        .n_scripts = 1,
    };
    failing_malloc_begin();
    struct cluster *cluster = cluster_create(world->loop, &options, metrics, &status);
    failing_malloc_end();
    if (cluster == NULL) {
        assert_out_of_memory(status.text);
    }
    return cluster;
}

/* Memory stays short for a while, then all must come right by itself. */
static bool ask_cluster(void *arg) {
    struct world *world = arg;
    struct redis_metrics metrics = {0};
    start_nodes(world);
    struct cluster *cluster = make_cluster(world, &metrics);
    bool is_good = cluster != NULL;
    if (cluster != NULL) {
        turn_while(world, !cluster_is_ready(cluster) && !failing_malloc_has_failed(), PATIENCE_US);
        turn_while(world, !cluster_is_ready(cluster), MEMORY_IS_SHORT_US);
        is_good = call_cluster(world, cluster, true) == STORE_OK;
        failing_malloc_relieve();
        turn_while(world, !cluster_is_ready(cluster), PATIENCE_US);
        assert_true(cluster_is_ready(cluster));
        assert_int_equal(call_cluster(world, cluster, false), STORE_OK);
    }
    cluster_destroy(&cluster);
    stop_nodes(world);
    return is_good;
}

static void test_the_cluster_recovers_from_every_want_of_memory(void **state) {
    failing_malloc_sweep(ask_cluster, *state, 20);
}

/* ---- the store on top of it ---- */

static const struct quota_part quota = {
    .n_limits = 1,
    .limits = (const struct bucket_limit[]){{.id = 7, .count = 5, .period_s = 1, .burst_utok = 10000000}},
};

static void count_done(struct store_call *call) {
    (void)call;
}

/* The record that an allowance leaves: 9 of 10 tokens. */
static void send_record(struct fake_redis *fake) {
    struct bucket_record record = {.at_us = 1000000, .n_levels = 1, .levels = {{.id = 7, .utok = 9000000}}};
    uint8_t reply[SCRIPT_RECORD_MAX_BYTES];
    size_t n_bytes = script_record_pack(&record, reply);
    char resp[16];
    int n = snprintf(resp, sizeof resp, "$%zu\r\n", n_bytes);
    fake_redis_send_bytes(fake, resp, (size_t)n);
    fake_redis_send_bytes(fake, reply, n_bytes);
    fake_redis_send_bytes(fake, "\r\n", 2);
}

enum { NOT_YET = -1 };

static enum store_outcome check_store(const struct world *world, struct store *store) {
    int64_t now_us = clock_mono_us();
    struct store_call call = {
        .part = &quota,
        .name = {.tenant = of("acme"), .resource = of("api"), .key = of("alice")},
        .cost_tokens = 1,
        .deadline_us = now_us + PATIENCE_US,
        .done = count_done,
        .outcome = (enum store_outcome)NOT_YET,
    };
    ev_now_update(world->loop);
    fake_redis_forget(world->a);
    failing_malloc_begin();
    enum store_progress progress = store_check(store, &call, now_us);
    failing_malloc_end();
    bool is_answered = false;
    int64_t relief_at_us = now_us + MEMORY_IS_SHORT_US;
    while (progress == STORE_PENDING && call.outcome == (enum store_outcome)NOT_YET) {
        turn(world);
        if (clock_mono_us() > relief_at_us) {
            failing_malloc_relieve(); /* what could not be written is written now */
        }
        if (!is_answered && fake_redis_count(world->a, "EVALSHA") == 1) {
            send_record(world->a);
            is_answered = true;
        }
    }
    return call.outcome;
}

static bool ask_store(void *arg) {
    struct world *world = arg;
    struct redis_metrics metrics = {0};
    struct status status = {""};
    char nodes[32];
    world->a = fake_redis_start(world->peer_loop, 0); /* no cluster: owns all */
    snprintf(nodes, sizeof nodes, "127.0.0.1:%u", (unsigned)fake_redis_port(world->a));
    struct redis_store_options options = {.nodes = nodes};
    failing_malloc_begin();
    struct store *store = redis_store_create(world->loop, &options, &metrics, &status);
    failing_malloc_end();
    bool is_good = store != NULL;
    if (store == NULL) {
        assert_out_of_memory(status.text);
    } else {
        for (int64_t until_us = clock_mono_us() + PATIENCE_US; !store_is_ready(store);) {
            assert_true(clock_mono_us() < until_us);
            ev_run(world->loop, EVRUN_NOWAIT); /* connecting is the cluster's part of the sweep */
            ev_run(world->peer_loop, EVRUN_NOWAIT);
        }
        is_good = check_store(world, store) == STORE_OK;
        failing_malloc_relieve();
        turn_while(world, !store_is_ready(store), PATIENCE_US);
        assert_int_equal(check_store(world, store), STORE_OK);
    }
    store_destroy(&store);
    fake_redis_stop(&world->a);
    return is_good;
}

static void test_a_check_is_decided_or_says_why_not(void **state) {
    failing_malloc_sweep(ask_store, *state, 8);
}

/* ---- the client library ---- */

struct answer {
    int n_done;
    enum sluice_status status;
};

static void on_answer(void *arg, enum sluice_status status, const char *message,
                      const struct sluice_decision *decisions, size_t n_decisions) {
    struct answer *answer = arg;
    assert_non_null(message);
    assert_true(n_decisions == 0 || decisions[0].status == status);
    answer->n_done++;
    answer->status = status;
}

static void allow(void *arg, struct fake_peer *peer, const struct wire_request *request) {
    (void)arg;
    fake_peer_allow(peer, request, 7);
}

/* A check, a batch and a ping at once; true when all came back well. None may stay without an answer. */
static bool ask_attached(const struct world *world, struct sluice_client *client) {
    struct answer answers[3] = {{0}};
    struct sluice_check checks[3] = {sluice_check_of("demo", "hello", "a"),
                                     sluice_check_of("demo", "hello", "b"),
                                     sluice_check_of("demo", "hello", "c")};
    failing_malloc_begin();
    bool is_accepted[3] = {
        sluice_check_async(client, checks, on_answer, &answers[0]),
        sluice_check_batch_async(client, checks, 3, on_answer, &answers[1]),
        sluice_ping_async(client, on_answer, &answers[2]),
    };
    failing_malloc_end();
    bool is_good = true;
    for (int i = 0; i < 3; i++) {
        turn_while(world, is_accepted[i] && answers[i].n_done == 0, PATIENCE_US);
        assert_int_equal(answers[i].n_done, is_accepted[i]);
        is_good = is_good && is_accepted[i] && answers[i].status == SLUICE_OK;
    }
    return is_good;
}

static bool attach_and_ask(struct world *world, struct sluice_options options) {
    char message[SLUICE_MESSAGE_BYTES] = "";
    world->frontend = fake_frontend_start(world->peer_loop, 0, allow, NULL);
    const char *server = fake_frontend_address(world->frontend);
    options.servers = &server;
    options.n_servers = 1;
    options.timeout_ms = 2000;
    failing_malloc_begin();
    struct sluice_client *client = sluice_attach(world->loop, &options, message, sizeof message);
    failing_malloc_end();
    bool is_good = client != NULL;
    if (client == NULL) {
        assert_out_of_memory(message);
    } else {
        is_good = ask_attached(world, client) && ask_attached(world, client);
        failing_malloc_relieve();
        bool is_well = false; /* a connection lost for want of memory comes back after a pause */
        turn_while(world, !(is_well = ask_attached(world, client)), PATIENCE_US);
        assert_true(is_well);
    }
    sluice_close(&client);
    fake_frontend_stop(&world->frontend);
    return is_good;
}

static bool ask_and_report(void *arg) {
    return attach_and_ask(arg, (struct sluice_options){.on_failure = SLUICE_ON_FAILURE_REPORT});
}

static bool ask_and_decide(void *arg) {
    return attach_and_ask(
        arg, (struct sluice_options){.on_failure = SLUICE_ON_FAILURE_LOCAL, .local_rate_tokens = 10});
}

static void test_an_attached_client_answers_every_call_it_accepts(void **state) {
    failing_malloc_sweep(ask_and_report, *state, 8);
    failing_malloc_sweep(ask_and_decide, *state, 11); /* the buckets, and what a batch would ask of them */
}

/* ---- hedging: two frontends that answer at once, or keep what they are asked ---- */

struct keeper {
    bool keeps;
    unsigned n_kept;
    struct fake_peer *peer; /* who kept first */
    struct wire_request kept;
};

static void keep(void *arg, struct fake_peer *peer, const struct wire_request *request) {
    struct keeper *keeper = arg;
    if (!keeper->keeps) {
        fake_peer_allow(peer, request, 7);
    } else if (keeper->n_kept++ == 0) {
        keeper->peer = peer;
        memcpy(&keeper->kept, request, sizeof *request);
    }
}

/* A batch that needs new memory on its way to either. True when it was hedged; if not, the first attempt, where
 * there was one, is still answered. */
static bool ask_late(const struct world *world, struct sluice_client *client, struct keeper *keeper) {
    enum { N_CHECKS = 10, KEY_BYTES = 256 };
    struct answer answer = {0};
    struct sluice_check checks[N_CHECKS];
    char key[KEY_BYTES + 1] = "";
    memset(key, 'k', KEY_BYTES);
    for (size_t i = 0; i < N_CHECKS; i++) {
        checks[i] = sluice_check_of("demo", "hello", key);
    }
    keeper->keeps = true;
    failing_malloc_begin();
    bool is_accepted = sluice_check_batch_async(client, checks, N_CHECKS, on_answer, &answer);
    failing_malloc_end();
    turn_while(world, is_accepted && !failing_malloc_has_failed() && keeper->n_kept < 2, PATIENCE_US);
    turn_while(world, is_accepted && answer.n_done == 0 && keeper->n_kept < 2, MEMORY_IS_SHORT_US);
    failing_malloc_relieve();
    if (keeper->n_kept > 0) {
        assert_int_equal(answer.n_done, 0);
        fake_peer_allow(keeper->peer, &keeper->kept, 7);
    }
    turn_while(world, is_accepted && answer.n_done == 0, PATIENCE_US);
    assert_int_equal(answer.n_done, is_accepted);
    assert_int_equal(is_accepted && answer.status == SLUICE_OK, keeper->n_kept > 0);
    return keeper->n_kept == 2;
}

static bool hedge(void *arg) {
    struct world *world = arg;
    struct keeper keeper = {.keeps = false};
    char message[SLUICE_MESSAGE_BYTES] = "";
    struct fake_frontend *a = fake_frontend_start(world->peer_loop, 0, keep, &keeper);
    struct fake_frontend *b = fake_frontend_start(world->peer_loop, 0, keep, &keeper);
    const char *servers[2] = {fake_frontend_address(a), fake_frontend_address(b)};
    struct sluice_options options = {
        .servers = servers, .n_servers = 2, .timeout_ms = 2000, .hedge = SLUICE_HEDGE_CHECKS};
    struct sluice_client *client = sluice_attach(world->loop, &options, message, sizeof message);
    assert_non_null(client);
    struct sluice_check check = sluice_check_of("demo", "hello", "a");
    for (int i = 0; i < 100 || fake_frontend_accepted(a) + fake_frontend_accepted(b) < 2; i++) {
        struct answer answer = {0};
        assert_true(sluice_peek_async(client, &check, on_answer, &answer));
        for (int64_t until_us = clock_mono_us() + PATIENCE_US; answer.n_done == 0;) {
            assert_true(clock_mono_us() < until_us);
            ev_run(world->loop, EVRUN_NOWAIT);
            ev_run(world->peer_loop, EVRUN_NOWAIT);
        }
    }
    bool is_good = ask_late(world, client, &keeper);
    sluice_close(&client);
    fake_frontend_stop(&a);
    fake_frontend_stop(&b);
    return is_good;
}

static void test_a_hedge_that_fails_for_want_of_memory_leaves_the_first_attempt_alone(void **state) {
    failing_malloc_sweep(hedge, *state, 3);
}

static void on_stop(struct ev_loop *loop, ev_async *watcher, int events) {
    (void)watcher;
    (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static void *run_peer(void *arg) {
    ev_run(((struct world *)arg)->peer_loop, 0);
    return NULL;
}

static bool ask_blocking(struct sluice_client *client) {
    struct sluice_check checks[2] = {sluice_check_of("demo", "hello", "a"),
                                     sluice_check_of("demo", "hello", "b")};
    struct sluice_decision decisions[2];
    char message[SLUICE_MESSAGE_BYTES];
    failing_malloc_begin();
    bool is_good = sluice_check(client, checks, decisions) == SLUICE_OK;
    is_good = sluice_check_batch(client, checks, 2, decisions) == SLUICE_OK && is_good;
    is_good = sluice_ping(client, message, sizeof message) == SLUICE_OK && is_good;
    failing_malloc_end();
    return is_good;
}

static bool open_and_ask(void *arg) {
    const struct world *world = arg;
    char message[SLUICE_MESSAGE_BYTES] = "";
    const char *server = fake_frontend_address(world->frontend);
    struct sluice_options options = {.servers = &server, .n_servers = 1, .timeout_ms = 2000};
    failing_malloc_begin();
    struct sluice_client *client = sluice_open(&options, message, sizeof message);
    failing_malloc_end();
    if (client == NULL) {
        assert_out_of_memory(message);
        return false;
    }
    bool is_good = ask_blocking(client);
    failing_malloc_relieve();
    bool is_well = false;
    for (int64_t until_us = clock_mono_us() + PATIENCE_US; !is_well && clock_mono_us() < until_us;) {
        is_well = ask_blocking(client);
    }
    assert_true(is_well);
    sluice_close(&client);
    return is_good;
}

/* The frontend has a thread of its own, as the test's blocks; allocations are counted for each thread. */
static void test_a_blocking_client_comes_back_with_a_reason(void **state) {
    struct world *world = *state;
    pthread_t thread;
    ev_async stop;
    world->frontend = fake_frontend_start(world->peer_loop, 0, allow, NULL);
    ev_async_init(&stop, on_stop);
    ev_async_start(world->peer_loop, &stop);
    assert_int_equal(pthread_create(&thread, NULL, run_peer, world), 0);
    failing_malloc_sweep(open_and_ask, world, 8);
    ev_async_send(world->peer_loop, &stop);
    assert_int_equal(pthread_join(thread, NULL), 0);
    ev_async_stop(world->peer_loop, &stop);
    fake_frontend_stop(&world->frontend);
}

static int set_up(void **state) {
    static struct world world;
    world = (struct world){.loop = ev_loop_new(EVFLAG_AUTO), .peer_loop = ev_loop_new(EVFLAG_AUTO)};
    *state = &world;
    return 0;
}

static int tear_down(void **state) {
    const struct world *world = *state;
    ev_loop_destroy(world->loop);
    ev_loop_destroy(world->peer_loop);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_the_cluster_recovers_from_every_want_of_memory),
        TEST(test_a_check_is_decided_or_says_why_not),
        TEST(test_an_attached_client_answers_every_call_it_accepts),
        TEST(test_a_hedge_that_fails_for_want_of_memory_leaves_the_first_attempt_alone),
        TEST(test_a_blocking_client_comes_back_with_a_reason),
    };
    log_configure(LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
