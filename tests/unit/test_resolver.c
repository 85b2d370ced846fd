/* test_resolver.c — lookups that are slow, fail, are withdrawn or outlive their resolver. */
#include "tests/support/test_prelude.h"

#include <arpa/inet.h>
#include <pthread.h>

#include "server/store/resolver.h"
#include "tests/support/fake_names.h"
#include "tests/support/fake_redis.h"

enum { MAX_ASKED = 8 };

struct note {
    struct resolver_request request;
    int n_answers;
    char text[128]; /* the addresses, or the problem */
    pthread_t thread;
    struct resolver *ask_again; /* once, when answered */
};

struct bench {
    struct ev_loop *loop;
    struct resolver *resolver;
    struct note notes[MAX_ASKED];
};

static struct node_addr at(const char *host) {
    struct node_addr addr = {.port = 7001};
    snprintf(addr.host, sizeof addr.host, "%s", host);
    return addr;
}

static void on_answered(struct resolver_request *request, const struct sockaddr_storage *found,
                        uint32_t n_found, const char *problem) {
    struct note *note = list_entry(request, struct note, request);
    note->n_answers++;
    note->thread = pthread_self();
    snprintf(note->text, sizeof note->text, "%s", n_found == 0 ? problem : "");
    for (uint32_t i = 0; i < n_found; i++) {
        struct sockaddr_in address;
        memcpy(&address, &found[i], sizeof address);
        char number[INET_ADDRSTRLEN];
        inet_ntop(AF_INET, &address.sin_addr, number, sizeof number);
        size_t n = strlen(note->text);
        snprintf(note->text + n, sizeof note->text - n, "%s:%u ", number, (unsigned)ntohs(address.sin_port));
    }
    if (note->ask_again != NULL) {
        struct node_addr addr = at("a");
        assert_true(resolver_ask(note->ask_again, &addr, request));
        note->ask_again = NULL;
    }
}

static void setup(struct bench *bench) {
    *bench = (struct bench){.loop = ev_loop_new(EVFLAG_AUTO)};
    fake_names_reset();
    fake_names_set("a", "127.0.0.1");
    fake_names_set("b", "127.0.0.2");
    bench->resolver = resolver_create(bench->loop, fake_names_resolve);
    assert_non_null(bench->resolver);
    for (int i = 0; i < MAX_ASKED; i++) {
        resolver_request_init(&bench->notes[i].request, on_answered);
    }
}

static void teardown(struct bench *bench) {
    turn_until(bench->loop, fake_names_count_inside() == 0);
    resolver_destroy(&bench->resolver);
    ev_loop_destroy(bench->loop);
}

static void ask(struct bench *bench, int i, const char *host) {
    struct node_addr addr = at(host);
    assert_true(resolver_ask(bench->resolver, &addr, &bench->notes[i].request));
    assert_int_equal(bench->notes[i].n_answers, 0);
}

static void assert_answered(struct bench *bench, int i, const char *text) {
    turn_until(bench->loop, bench->notes[i].n_answers > 0);
    assert_string_equal(bench->notes[i].text, text);
    assert_int_equal(bench->notes[i].n_answers, 1);
}

static void test_a_name_is_answered_once_on_the_loops_thread(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    ask(&bench, 0, "a");
    assert_answered(&bench, 0, "127.0.0.1:7001 ");
    assert_true(pthread_equal(bench.notes[0].thread, pthread_self()));
    ask(&bench, 1, "a"); /* nothing is cached */
    assert_answered(&bench, 1, "127.0.0.1:7001 ");
    assert_int_equal(bench.notes[0].n_answers, 1);
    assert_int_equal(fake_names_count("a"), 2);
    teardown(&bench);
}

static void test_several_addresses_come_in_order_up_to_the_most(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_names_set("many", "127.0.0.3,127.0.0.1,127.0.0.2,127.0.0.5,127.0.0.4");
    ask(&bench, 0, "many");
    assert_answered(&bench, 0, "127.0.0.3:7001 127.0.0.1:7001 127.0.0.2:7001 127.0.0.5:7001 ");
    teardown(&bench);
}

static void test_a_failure_says_why(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    ask(&bench, 0, "nowhere");
    assert_answered(&bench, 0, "no such name");
    teardown(&bench);
}

static void test_requests_for_one_name_join_one_lookup(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_names_hold("a", true);
    ask(&bench, 0, "a");
    turn_until(bench.loop, fake_names_count("a") == 1);
    ask(&bench, 1, "a");
    fake_names_hold("a", false);
    assert_answered(&bench, 0, "127.0.0.1:7001 ");
    assert_answered(&bench, 1, "127.0.0.1:7001 ");
    assert_int_equal(fake_names_count("a"), 1);
    teardown(&bench);
}

static void test_a_name_that_hangs_holds_up_no_other(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_names_hold("b", true);
    ask(&bench, 0, "b");
    for (int i = 1; i < MAX_ASKED; i++) { /* given up and asked again, it has one thread still */
        resolver_withdraw(&bench.notes[0].request);
        ask(&bench, 0, "b");
        ask(&bench, i, "a");
        assert_answered(&bench, i, "127.0.0.1:7001 ");
    }
    assert_int_equal(fake_names_count("b"), 1);
    assert_int_equal(bench.notes[0].n_answers, 0);
    fake_names_hold("b", false);
    assert_answered(&bench, 0, "127.0.0.2:7001 ");
    teardown(&bench);
}

static void test_more_names_than_threads_take_turns(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    static const char *const hosts[MAX_ASKED] = {"h0", "h1", "h2", "h3", "h4", "h5", "h6", "h7"};
    for (int i = 0; i < MAX_ASKED; i++) {
        fake_names_set(hosts[i], "127.0.0.9");
        fake_names_hold(hosts[i], true);
        ask(&bench, i, hosts[i]);
    }
    turn_until(bench.loop, fake_names_count_inside() == RESOLVER_MAX_THREADS);
    assert_int_equal(fake_names_count("h4"), 0);
    for (int i = 0; i < MAX_ASKED; i++) {
        fake_names_hold(hosts[i], false);
    }
    for (int i = 0; i < MAX_ASKED; i++) {
        assert_answered(&bench, i, "127.0.0.9:7001 ");
    }
    teardown(&bench);
}

static void test_withdrawn_it_is_not_answered(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    resolver_withdraw(&bench.notes[0].request); /* not under way: left alone */
    fake_names_hold("a", true);
    ask(&bench, 0, "a");
    ask(&bench, 1, "a");
    resolver_withdraw(&bench.notes[0].request);
    fake_names_hold("a", false);
    assert_answered(&bench, 1, "127.0.0.1:7001 ");
    assert_int_equal(bench.notes[0].n_answers, 0);
    teardown(&bench);
}

static void test_asked_again_from_inside_an_answer_it_is_looked_up_again(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    bench.notes[0].ask_again = bench.resolver;
    ask(&bench, 0, "a");
    turn_until(bench.loop, bench.notes[0].n_answers == 2);
    assert_int_equal(fake_names_count("a"), 2);
    teardown(&bench);
}

static void test_too_many_lookups_are_refused(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_names_hold("a", true);
    struct node_addr addr = at("a");
    struct resolver_request request;
    resolver_request_init(&request, on_answered);
    for (int i = 0; i < RESOLVER_MAX_LOOKUPS; i++) {
        addr.port = (uint16_t)(i + 1); /* another name, to the resolver */
        assert_true(resolver_ask(bench.resolver, &addr, &request));
        resolver_withdraw(&request);
    }
    addr.port = RESOLVER_MAX_LOOKUPS + 1;
    assert_false(resolver_ask(bench.resolver, &addr, &request));
    addr.port = 1;
    assert_true(resolver_ask(bench.resolver, &addr, &request));
    resolver_withdraw(&request);
    fake_names_hold("a", false);
    turn_until(bench.loop, fake_names_count("a") == RESOLVER_MAX_LOOKUPS);
    teardown(&bench);
}

static void test_destroyed_it_waits_for_no_lookup(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_names_hold("a", true);
    struct node_addr addr = at("a");
    for (int i = 0; i < MAX_ASKED; i++) { /* some with threads, some queued */
        addr.port = (uint16_t)(i + 1);
        assert_true(resolver_ask(bench.resolver, &addr, &bench.notes[i].request));
    }
    turn_until(bench.loop, fake_names_count_inside() == RESOLVER_MAX_THREADS);
    resolver_destroy(&bench.resolver);
    resolver_withdraw(&bench.notes[0].request);
    assert_int_equal(fake_names_count_inside(), RESOLVER_MAX_THREADS);
    fake_names_hold("a", false);
    turn_until(bench.loop, fake_names_count_inside() == 0);
    assert_int_equal(fake_names_count("a"), RESOLVER_MAX_THREADS); /* what was queued is gone */
    for (int i = 0; i < MAX_ASKED; i++) {
        assert_int_equal(bench.notes[i].n_answers, 0);
    }
    ev_loop_destroy(bench.loop);
}

static void test_destroyed_with_an_answer_on_its_way_it_calls_nobody(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    ask(&bench, 0, "a");
    while (fake_names_count("a") == 0 || fake_names_count_inside() > 0) {
        sched_yield();
    }
    resolver_destroy(&bench.resolver);
    ev_run(bench.loop, EVRUN_NOWAIT);
    assert_int_equal(bench.notes[0].n_answers, 0);
    ev_loop_destroy(bench.loop);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_is_answered_once_on_the_loops_thread),
        cmocka_unit_test(test_several_addresses_come_in_order_up_to_the_most),
        cmocka_unit_test(test_a_failure_says_why),
        cmocka_unit_test(test_requests_for_one_name_join_one_lookup),
        cmocka_unit_test(test_a_name_that_hangs_holds_up_no_other),
        cmocka_unit_test(test_more_names_than_threads_take_turns),
        cmocka_unit_test(test_withdrawn_it_is_not_answered),
        cmocka_unit_test(test_asked_again_from_inside_an_answer_it_is_looked_up_again),
        cmocka_unit_test(test_too_many_lookups_are_refused),
        cmocka_unit_test(test_destroyed_it_waits_for_no_lookup),
        cmocka_unit_test(test_destroyed_with_an_answer_on_its_way_it_calls_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
