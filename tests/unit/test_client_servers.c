/* test_client_servers.c — connected frontends take turns; the others are passed over. */
#include "tests/support/test_prelude.h"

#include <ev.h>

#include "client/client_servers.h"

enum { N_SERVERS = 3 };

static const char *on_event(void *owner, struct client_conn *conn, enum client_conn_event event,
                            const struct frame *frame) {
    (void)owner;
    (void)conn;
    (void)event;
    (void)frame;
    return NULL;
}

static int set_up(void **state) {
    struct client_servers *servers = calloc(1, sizeof *servers);
    char message[256], address[32];
    assert_non_null(servers);
    assert_true(client_servers_init(servers, N_SERVERS, message, sizeof message));
    for (int i = 0; i < N_SERVERS; i++) {
        snprintf(address, sizeof address, "127.0.0.1:%d", i + 1);
        assert_true(client_servers_add(servers, EV_DEFAULT, address, on_event, NULL, message, sizeof message));
    }
    *state = servers;
    return 0;
}

static int tear_down(void **state) {
    struct client_servers *servers = *state;
    client_servers_deinit(servers);
    client_servers_deinit(servers);
    free(servers);
    return 0;
}

/* As if connected; nothing is sent here. */
static void set_all_up(struct client_servers *servers) {
    for (size_t i = 0; i < servers->n; i++) {
        servers->items[i].conn.state = CLIENT_CONN_UP;
    }
}

static void test_connected_ones_take_turns(void **state) {
    struct client_servers *servers = *state;
    assert_null(client_servers_pick(servers, NULL));
    assert_false(client_servers_is_any_up(servers, NULL));
    set_all_up(servers);
    for (size_t i = 0; i < 2 * N_SERVERS; i++) {
        assert_ptr_equal(client_servers_pick(servers, NULL), &servers->items[i % N_SERVERS]);
    }
    servers->items[1].conn.state = CLIENT_CONN_BACKOFF;
    assert_ptr_equal(client_servers_pick(servers, NULL), &servers->items[0]);
    assert_ptr_equal(client_servers_pick(servers, NULL), &servers->items[2]);
    assert_ptr_equal(client_servers_pick(servers, NULL), &servers->items[0]);
}

static void test_one_can_be_avoided(void **state) {
    struct client_servers *servers = *state;
    set_all_up(servers);
    assert_ptr_equal(client_servers_pick(servers, &servers->items[0]), &servers->items[1]);
    assert_ptr_equal(client_servers_pick(servers, &servers->items[2]), &servers->items[0]);
    servers->items[1].conn.state = servers->items[2].conn.state = CLIENT_CONN_BACKOFF;
    assert_null(client_servers_pick(servers, &servers->items[0]));
    assert_false(client_servers_is_any_up(servers, &servers->items[0]));
    assert_true(client_servers_is_any_up(servers, &servers->items[1]));
}

static void test_one_with_too_much_unsent_is_passed_over(void **state) {
    struct client_servers *servers = *state;
    struct buf *out = &servers->items[0].conn.out;
    set_all_up(servers);
    assert_non_null(buf_reserve(out, CLIENT_SERVER_UNSENT_MAX_BYTES + 1));
    buf_commit(out, CLIENT_SERVER_UNSENT_MAX_BYTES + 1);
    assert_ptr_equal(client_servers_pick(servers, NULL), &servers->items[1]);
    buf_consume(out, 1);
    servers->next = 0;
    assert_ptr_equal(client_servers_pick(servers, NULL), &servers->items[0]);
}

static void test_silent_one_gets_a_call_at_a_time(void **state) {
    struct client_servers *servers = *state;
    struct list call;
    set_all_up(servers);
    servers->items[0].is_silent = true;
    assert_ptr_equal(client_servers_pick(servers, NULL), &servers->items[0]);
    list_push_back(&servers->items[0].in_flight, &call);
    for (size_t i = 0; i < 4; i++) {
        assert_ptr_equal(client_servers_pick(servers, NULL), &servers->items[1 + i % 2]);
    }
    servers->items[1].conn.state = servers->items[2].conn.state = CLIENT_CONN_BACKOFF;
    assert_ptr_equal(client_servers_pick(servers, NULL), &servers->items[0]);
    assert_ptr_equal(client_servers_pick(servers, NULL), &servers->items[0]);
    set_all_up(servers);
    servers->items[0].is_silent = false;
    servers->next = 0;
    assert_ptr_equal(client_servers_pick(servers, NULL), &servers->items[0]);
}

static void test_hope_lasts_while_one_is_connecting(void **state) {
    struct client_servers *servers = *state;
    assert_false(client_servers_is_any_hopeful(servers));
    client_servers_start(servers);
    assert_true(client_servers_is_any_hopeful(servers));
    for (size_t i = 0; i < N_SERVERS; i++) {
        servers->items[i].conn.fault = CLIENT_CONN_UNREACHABLE;
    }
    assert_false(client_servers_is_any_hopeful(servers));
}

static void test_explanation_counts_and_names_the_first(void **state) {
    struct client_servers *servers = *state;
    char message[128];
    strcpy(servers->items[0].conn.reason, "cannot connect");
    client_servers_explain(servers, message, sizeof message);
    assert_string_equal(message, "none of 3 frontends can be reached; cannot connect");
}

static void test_bad_address_is_refused(void **state) {
    struct client_servers servers;
    char message[256];
    (void)state;
    assert_true(client_servers_init(&servers, 1, message, sizeof message));
    assert_false(client_servers_add(&servers, EV_DEFAULT, "a:b:c", on_event, NULL, message, sizeof message));
    assert_int_equal(servers.n, 0);
    client_servers_deinit(&servers);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        test(test_connected_ones_take_turns),
        test(test_one_can_be_avoided),
        test(test_one_with_too_much_unsent_is_passed_over),
        test(test_silent_one_gets_a_call_at_a_time),
        test(test_hope_lasts_while_one_is_connecting),
        test(test_explanation_counts_and_names_the_first),
        cmocka_unit_test(test_bad_address_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
