/* test_redis_conn.c — pairing, greeting, loss and back-off against a scripted node. */
#include "tests/support/test_prelude.h"

#include "server/store/redis_conn.h"
#include "tests/support/fake_redis.h"

enum { MAX_COMMANDS = 128 };

struct note {
    struct redis_command command;
    int n_ends;
    enum redis_command_end end;
    char text[64];
};

struct bench {
    struct ev_loop *loop;
    struct fake_redis *fake;
    uint16_t port;
    struct redis_metrics metrics;
    struct redis_conn_options options;
    struct redis_conn *conn;
    struct note notes[MAX_COMMANDS];
    int n_ups, n_downs, n_losses;
    enum log_level level;
    char reason[128];
};

static const char greeting[] = "*2\r\n$6\r\nSCRIPT\r\n$1\r\nx\r\n";
static const char get[] = "*1\r\n$3\r\nGET\r\n";

static struct bytes of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static void on_up(void *arg) {
    ((struct bench *)arg)->n_ups++;
}

static void on_down(void *arg, bool was_up, enum log_level level, const char *reason) {
    struct bench *bench = arg;
    bench->n_downs++;
    bench->n_losses += was_up;
    bench->level = level;
    snprintf(bench->reason, sizeof bench->reason, "%s", reason);
}

static void on_end(struct redis_command *command, enum redis_command_end end, const struct redis_reply *reply) {
    struct note *note = list_entry(command, struct note, command);
    note->n_ends++;
    note->end = end;
    if (reply != NULL) {
        snprintf(note->text, sizeof note->text, "%.*s", (int)reply->text.len, (const char *)reply->text.data);
    }
}

static void setup_options(struct bench *bench, int64_t connect_timeout_us, uint32_t max_inflight) {
    *bench = (struct bench){.loop = ev_loop_new(EVFLAG_AUTO)};
    bench->fake = fake_redis_start(bench->loop, 0);
    bench->port = fake_redis_port(bench->fake);
    bench->options = (struct redis_conn_options){
        .greeting = of(greeting),
        .n_greeting_replies = 1,
        .connect_timeout_us = connect_timeout_us,
        .max_inflight = max_inflight,
        .metrics = &bench->metrics,
        .on_up = on_up,
        .on_down = on_down,
    };
}

static void connect_bench(struct bench *bench) {
    struct node_addr addr = {.host = "127.0.0.1", .port = bench->port};
    bench->conn = redis_conn_create(bench->loop, &addr, &bench->options, bench);
    assert_non_null(bench->conn);
}

static void setup(struct bench *bench) {
    setup_options(bench, 500000, 100);
    connect_bench(bench);
    turn_until(bench->loop, bench->n_ups == 1);
}

static void teardown(struct bench *bench) {
    redis_conn_destroy(&bench->conn);
    fake_redis_stop(&bench->fake);
    ev_loop_destroy(bench->loop);
}

static enum redis_submit submit_bytes(struct bench *bench, int i, struct bytes head, struct bytes tail,
                                      uint32_t n_replies) {
    struct note *note = &bench->notes[i];
    note->command = (struct redis_command){.head = head, .tail = tail, .n_replies = n_replies, .ended = on_end};
    note->n_ends = 0;
    return redis_conn_submit(bench->conn, &note->command);
}

static void submit(struct bench *bench, int i) {
    assert_int_equal(submit_bytes(bench, i, of(get), (struct bytes){0}, 1), REDIS_SUBMIT_QUEUED);
}

static void assert_ended(const struct bench *bench, int i, enum redis_command_end end, const char *text) {
    assert_int_equal(bench->notes[i].n_ends, 1);
    assert_int_equal(bench->notes[i].end, end);
    assert_string_equal(bench->notes[i].text, text);
}

/* ---- the way of a command ---- */

static void test_replies_are_paired_in_order(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_reply(bench.fake, "+one\r\n");
    fake_redis_reply(bench.fake, "-ERR two\r\n");
    fake_redis_reply(bench.fake, "$5\r\nthree\r\n");
    for (int i = 0; i < 3; i++) {
        submit(&bench, i);
        assert_int_equal(bench.notes[i].n_ends, 0);
    }
    assert_int_equal(redis_conn_count_inflight(bench.conn), 3);
    turn_until(bench.loop, bench.notes[2].n_ends > 0);
    assert_ended(&bench, 0, REDIS_COMMAND_REPLIED, "one");
    assert_ended(&bench, 1, REDIS_COMMAND_REPLIED, "ERR two");
    assert_ended(&bench, 2, REDIS_COMMAND_REPLIED, "three");
    assert_int_equal(redis_conn_count_inflight(bench.conn), 0);
    assert_int_equal(metric_get(&bench.metrics.commands), 3);
    assert_int_equal(metric_get(&bench.metrics.replies), 3);
    teardown(&bench);
}

static void test_commands_of_one_turn_are_one_write(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    uint64_t n_writes = metric_get(&bench.metrics.writes);
    for (int i = 0; i < 8; i++) {
        fake_redis_reply(bench.fake, "+OK\r\n");
        submit(&bench, i);
    }
    turn_until(bench.loop, bench.notes[7].n_ends > 0);
    assert_int_equal(metric_get(&bench.metrics.writes) - n_writes, 1);
    teardown(&bench);
}

static void test_head_and_tail_are_sent_one_behind_the_other(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_reply(bench.fake, "+OK\r\n");
    assert_int_equal(submit_bytes(&bench, 0, of("*2\r\n$3\r\nGET\r\n"), of("$1\r\nk\r\n"), 1),
                     REDIS_SUBMIT_QUEUED);
    turn_until(bench.loop, bench.notes[0].n_ends > 0);
    assert_string_equal(fake_redis_last(bench.fake), "GET|k");
    teardown(&bench);
}

static void test_of_several_replies_the_last_is_handed_up(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_reply(bench.fake, "+OK\r\n");
    fake_redis_reply(bench.fake, "+answer\r\n");
    fake_redis_reply(bench.fake, "+next\r\n");
    assert_int_equal(submit_bytes(&bench, 0, of("*1\r\n$6\r\nASKING\r\n"), of(get), 2), REDIS_SUBMIT_QUEUED);
    submit(&bench, 1);
    turn_until(bench.loop, bench.notes[1].n_ends > 0);
    assert_ended(&bench, 0, REDIS_COMMAND_REPLIED, "answer");
    assert_ended(&bench, 1, REDIS_COMMAND_REPLIED, "next");
    teardown(&bench);
}

static void test_replies_arrive_byte_by_byte(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    fake_redis_set_slice(bench.fake, 1);
    fake_redis_reply(bench.fake, "$12\r\nhello\r\nthere\r\n");
    fake_redis_reply(bench.fake, "*2\r\n:1\r\n$-1\r\n");
    fake_redis_reply(bench.fake, "+end\r\n");
    for (int i = 0; i < 3; i++) {
        submit(&bench, i);
    }
    turn_until(bench.loop, bench.notes[2].n_ends > 0);
    assert_ended(&bench, 0, REDIS_COMMAND_REPLIED, "hello\r\nthere");
    assert_ended(&bench, 1, REDIS_COMMAND_REPLIED, "");
    assert_ended(&bench, 2, REDIS_COMMAND_REPLIED, "end");
    teardown(&bench);
}

static void test_a_command_larger_than_the_socket_arrives_whole(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    enum { BIG = 12 * 1024 * 1024 };
    char *big = malloc(BIG + 64);
    int n_head = sprintf(big, "*2\r\n$3\r\nSET\r\n$%d\r\n", BIG);
    memset(big + n_head, 'x', BIG);
    memcpy(big + n_head + BIG, "\r\n", 3);
    fake_redis_reply(bench.fake, "+big\r\n");
    fake_redis_reply(bench.fake, "+small\r\n");
    fake_redis_set_deaf(bench.fake, 1);
    assert_int_equal(submit_bytes(&bench, 0, of(big), (struct bytes){0}, 1), REDIS_SUBMIT_QUEUED);
    ev_run(bench.loop, EVRUN_NOWAIT);
    submit(&bench, 1);
    ev_run(bench.loop, EVRUN_NOWAIT);
    assert_int_equal(metric_get(&bench.metrics.commands), 1); /* the other waits: too much is unsent */
    fake_redis_set_deaf(bench.fake, 0);
    turn_until(bench.loop, bench.notes[1].n_ends > 0);
    assert_ended(&bench, 0, REDIS_COMMAND_REPLIED, "big");
    assert_ended(&bench, 1, REDIS_COMMAND_REPLIED, "small");
    free(big);
    teardown(&bench);
}

static void test_above_the_cap_commands_are_refused(void **state) {
    (void)state;
    struct bench bench;
    setup_options(&bench, 500000, 2);
    connect_bench(&bench);
    submit(&bench, 0);
    submit(&bench, 1);
    assert_int_equal(submit_bytes(&bench, 2, of(get), (struct bytes){0}, 1), REDIS_SUBMIT_FULL);
    turn_until(bench.loop, fake_redis_count(bench.fake, "GET") == 2);
    redis_conn_withdraw(bench.conn, &bench.notes[0].command);
    assert_int_equal(submit_bytes(&bench, 2, of(get), (struct bytes){0}, 1), REDIS_SUBMIT_FULL);
    fake_redis_send(bench.fake, "+late\r\n");
    turn_until(bench.loop, metric_get(&bench.metrics.late_replies) == 1);
    submit(&bench, 2);
    teardown(&bench);
}

/* ---- greeting ---- */

static void test_commands_wait_for_the_greetings_reply(void **state) {
    (void)state;
    struct bench bench;
    setup_options(&bench, 500000, 100);
    fake_redis_set_greeting(bench.fake, "");
    fake_redis_reply(bench.fake, "+OK\r\n");
    connect_bench(&bench);
    submit(&bench, 0);
    turn_until(bench.loop, fake_redis_count(bench.fake, "SCRIPT") == 1);
    for (int i = 0; i < 5; i++) {
        ev_run(bench.loop, EVRUN_NOWAIT);
    }
    assert_string_equal(fake_redis_heard(bench.fake), "SCRIPT ");
    assert_false(redis_conn_is_up(bench.conn));
    fake_redis_send(bench.fake, "$3\r\nsha\r\n");
    turn_until(bench.loop, bench.notes[0].n_ends > 0);
    assert_string_equal(fake_redis_heard(bench.fake), "SCRIPT GET ");
    assert_int_equal(metric_get(&bench.metrics.nodes_connected), 1);
    teardown(&bench);
    assert_int_equal(metric_get(&bench.metrics.nodes_connected), 0);
}

static void test_a_greeting_refused_is_a_failed_attempt(void **state) {
    (void)state;
    struct bench bench;
    setup_options(&bench, 500000, 100);
    fake_redis_set_greeting(bench.fake, "-LOADING Redis is loading\r\n");
    connect_bench(&bench);
    submit(&bench, 0);
    turn_until(bench.loop, bench.n_downs == 1);
    assert_string_equal(bench.reason, "greeting refused: LOADING Redis is loading");
    assert_int_equal(bench.level, LOG_WARN);
    assert_ended(&bench, 0, REDIS_COMMAND_UNSENT, "");
    assert_int_equal(metric_get(&bench.metrics.errors_loading), 1);
    fake_redis_set_greeting(bench.fake, "$3\r\nsha\r\n");
    turn_until(bench.loop, bench.n_ups == 1);
    teardown(&bench);
}

static void test_a_wrong_password_is_the_operators_affair(void **state) {
    (void)state;
    static const char *const refusals[] = {"-WRONGPASS invalid username-password pair or user is disabled.\r\n",
                                           "-NOAUTH Authentication required.\r\n",
                                           "-NOPERM this user has no permissions\r\n"};
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        struct bench bench;
        setup_options(&bench, 500000, 100);
        fake_redis_set_greeting(bench.fake, refusals[i]);
        connect_bench(&bench);
        turn_until(bench.loop, bench.n_downs == 1);
        assert_int_equal(bench.level, LOG_ERROR);
        fake_redis_set_greeting(bench.fake, "$3\r\nsha\r\n");
        turn_until(bench.loop, bench.n_ups == 1);
        teardown(&bench);
    }
}

static void test_every_reply_to_the_greeting_is_awaited(void **state) {
    (void)state;
    struct bench bench;
    setup_options(&bench, 500000, 100);
    bench.options.greeting = of("*1\r\n$6\r\nSCRIPT\r\n*1\r\n$6\r\nSCRIPT\r\n");
    bench.options.n_greeting_replies = 2;
    fake_redis_set_slice(bench.fake, 1);
    connect_bench(&bench);
    turn_until(bench.loop, bench.n_ups == 1);
    assert_string_equal(fake_redis_heard(bench.fake), "SCRIPT SCRIPT ");
    fake_redis_reply(bench.fake, "+OK\r\n");
    submit(&bench, 0);
    turn_until(bench.loop, bench.notes[0].n_ends > 0);
    assert_ended(&bench, 0, REDIS_COMMAND_REPLIED, "OK"); /* not what was left of the greeting's */
    assert_int_equal(bench.n_downs, 0);
    teardown(&bench);
}

static void test_an_echo_is_no_greeting(void **state) {
    (void)state;
    struct bench bench;
    setup_options(&bench, 500000, 100);
    fake_redis_set_greeting(bench.fake, greeting);
    connect_bench(&bench);
    turn_until(bench.loop, bench.n_downs == 1);
    assert_int_equal(bench.n_ups, 0);
    teardown(&bench);
}

static void test_silence_ends_with_the_connect_timeout(void **state) {
    (void)state;
    struct bench bench;
    setup_options(&bench, 20000, 100);
    fake_redis_set_greeting(bench.fake, "");
    connect_bench(&bench);
    submit(&bench, 0);
    turn_until(bench.loop, bench.n_downs == 1);
    assert_string_equal(bench.reason, "no reply to the greeting");
    assert_ended(&bench, 0, REDIS_COMMAND_UNSENT, "");
    teardown(&bench);
}

/* ---- loss ---- */

static void test_a_lost_connection_ends_each_command_once(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    submit(&bench, 0);
    submit(&bench, 1);
    turn_until(bench.loop, fake_redis_count(bench.fake, "GET") == 2);
    submit(&bench, 2);
    redis_conn_withdraw(bench.conn, &bench.notes[1].command);
    fake_redis_drop_clients(bench.fake);
    turn_until(bench.loop, bench.n_losses == 1);
    assert_ended(&bench, 0, REDIS_COMMAND_LOST, "");
    assert_int_equal(bench.notes[1].n_ends, 0);
    assert_int_equal(bench.notes[2].n_ends, 1);
    assert_int_equal(redis_conn_count_inflight(bench.conn), 0);
    assert_int_equal(metric_get(&bench.metrics.disconnects), 1);
    turn_until(bench.loop, bench.n_ups == 2);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(bench.notes[i].n_ends, i != 1);
    }
    assert_int_equal(fake_redis_count(bench.fake, "GET"), 2); /* nothing was sent again */
    teardown(&bench);
}

/* Deaf, the node takes what fits into the socket's buffers: one command is written in part, those behind it are
 * in the output or still waiting. */
static void test_written_in_part_is_lost_and_not_at_all_is_unsent(void **state) {
    (void)state;
    struct bench bench;
    setup_options(&bench, 500000, MAX_COMMANDS);
    connect_bench(&bench);
    turn_until(bench.loop, bench.n_ups == 1);
    fake_redis_set_deaf(bench.fake, 1);
    enum { BIG = 100 * 1024 };
    static const uint8_t zeros[BIG];
    struct bytes bytes = {.data = zeros, .len = BIG};
    for (int i = 0; i < MAX_COMMANDS; i++) {
        assert_int_equal(submit_bytes(&bench, i, bytes, (struct bytes){0}, 1), REDIS_SUBMIT_QUEUED);
    }
    ev_run(bench.loop, EVRUN_NOWAIT);
    int n_waiting = 0, n_lost = 0;
    for (int i = 0; i < MAX_COMMANDS; i++) {
        n_waiting += bench.notes[i].command.state == REDIS_COMMAND_WAITING;
    }
    assert_true(n_waiting > 0);
    fake_redis_drop_clients(bench.fake);
    turn_until(bench.loop, bench.n_losses == 1);
    for (int i = 0; i < MAX_COMMANDS; i++) {
        assert_int_equal(bench.notes[i].n_ends, 1);
        n_lost += bench.notes[i].end == REDIS_COMMAND_LOST;
        assert_int_equal(bench.notes[i].end, i < n_lost ? REDIS_COMMAND_LOST : REDIS_COMMAND_UNSENT);
    }
    assert_true(n_lost > 0);
    assert_true(MAX_COMMANDS - n_lost - n_waiting >= 2); /* whole ones in the output */
    teardown(&bench);
}

static void test_a_withdrawn_command_keeps_the_pairing_right(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    submit(&bench, 0);
    submit(&bench, 1);
    turn_until(bench.loop, fake_redis_count(bench.fake, "GET") == 2);
    redis_conn_withdraw(bench.conn, &bench.notes[0].command);
    redis_conn_withdraw(bench.conn, &bench.notes[0].command); /* idle by now: left alone */
    fake_redis_send(bench.fake, "+late\r\n+mine\r\n");
    turn_until(bench.loop, bench.notes[1].n_ends > 0);
    assert_ended(&bench, 1, REDIS_COMMAND_REPLIED, "mine");
    assert_int_equal(bench.notes[0].n_ends, 0);
    assert_int_equal(metric_get(&bench.metrics.late_replies), 1);
    teardown(&bench);
}

static void test_withdrawn_before_it_was_written_it_is_never_sent(void **state) {
    (void)state;
    struct bench bench;
    setup_options(&bench, 500000, 100);
    connect_bench(&bench);
    submit(&bench, 0);
    submit(&bench, 1);
    redis_conn_withdraw(bench.conn, &bench.notes[0].command);
    assert_int_equal(redis_conn_count_inflight(bench.conn), 1);
    fake_redis_reply(bench.fake, "+mine\r\n");
    turn_until(bench.loop, bench.notes[1].n_ends > 0);
    assert_ended(&bench, 1, REDIS_COMMAND_REPLIED, "mine");
    assert_int_equal(fake_redis_count(bench.fake, "GET"), 1);
    teardown(&bench);
}

static void test_one_reply_too_many_closes(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    submit(&bench, 0);
    fake_redis_reply(bench.fake, "+mine\r\n+nobody's\r\n");
    turn_until(bench.loop, bench.n_losses == 1);
    assert_ended(&bench, 0, REDIS_COMMAND_REPLIED, "mine");
    assert_string_equal(bench.reason, "a reply to no command");
    turn_until(bench.loop, bench.n_ups == 2);
    teardown(&bench);
}

static void test_a_greeting_answered_twice_closes(void **state) {
    (void)state;
    struct bench bench;
    setup_options(&bench, 500000, 100);
    fake_redis_set_greeting(bench.fake, "+OK\r\n+OK\r\n");
    connect_bench(&bench);
    submit(&bench, 0);
    turn_until(bench.loop, bench.n_losses == 1);
    assert_string_equal(bench.reason, "a reply to no command");
    assert_ended(&bench, 0, REDIS_COMMAND_UNSENT, "");
    teardown(&bench);
}

/* Feeds `piece` for ever; the connection must end by itself, and the next one work. */
static void assert_endless_reply_closes(const char *beginning, const char *piece, const char *reason) {
    struct bench bench;
    setup(&bench);
    submit(&bench, 0);
    turn_until(bench.loop, fake_redis_count(bench.fake, "GET") == 1);
    enum { BLOCK_BYTES = 512 * 1024, MOST_BLOCKS = 12 };
    char *block = malloc(BLOCK_BYTES);
    assert_non_null(block);
    for (size_t i = 0; i < BLOCK_BYTES; i++) {
        block[i] = piece[i % strlen(piece)];
    }
    fake_redis_send(bench.fake, beginning);
    for (int i = 0; i < MOST_BLOCKS; i++) {
        fake_redis_send_bytes(bench.fake, block, BLOCK_BYTES / strlen(piece) * strlen(piece));
    }
    free(block);
    turn_until(bench.loop, bench.n_losses == 1);
    assert_string_equal(bench.reason, reason);
    assert_ended(&bench, 0, REDIS_COMMAND_LOST, "");
    turn_until(bench.loop, bench.n_ups == 2);
    fake_redis_reply(bench.fake, "+again\r\n");
    submit(&bench, 1);
    turn_until(bench.loop, bench.notes[1].n_ends > 0);
    assert_ended(&bench, 1, REDIS_COMMAND_REPLIED, "again");
    teardown(&bench);
}

static void test_a_reply_that_never_ends_closes(void **state) {
    (void)state;
    assert_endless_reply_closes("+", "x", "a reply of too many bytes");
    assert_endless_reply_closes(":", "1", "a reply of too many bytes");
    assert_endless_reply_closes("$1000000000\r\n", "x", "a reply of too many bytes");
    assert_endless_reply_closes("*2000000000\r\n", ":1\r\n", "a reply of too many parts");
    static const char seventy[] =
        "$70\r\n0123456789012345678901234567890123456789012345678901234567890123456789\r\n";
    assert_endless_reply_closes("*2000000000\r\n", seventy, "a reply of too many bytes");
}

/* Every length of the first piece, and of those behind it. */
static void test_replies_in_pieces_of_each_length(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    enum { ALL_BYTES = 19 + 14 + 8 };
    for (size_t n_bytes = 1; n_bytes < ALL_BYTES; n_bytes++) {
        fake_redis_set_slice(bench.fake, n_bytes);
        fake_redis_reply(bench.fake, "$12\r\nhello\r\nthere\r\n*3\r\n:1\r\n$-1\r\n*0\r\n-ERR x\r\n");
        submit(&bench, 0);
        submit(&bench, 1);
        submit(&bench, 2);
        turn_until(bench.loop, bench.notes[2].n_ends > 0);
        assert_ended(&bench, 0, REDIS_COMMAND_REPLIED, "hello\r\nthere");
        assert_ended(&bench, 1, REDIS_COMMAND_REPLIED, "");
        assert_ended(&bench, 2, REDIS_COMMAND_REPLIED, "ERR x");
        bench.notes[0].text[0] = bench.notes[1].text[0] = bench.notes[2].text[0] = '\0';
    }
    assert_int_equal(bench.n_losses, 0);
    teardown(&bench);
}

static void test_garbage_closes(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    submit(&bench, 0);
    submit(&bench, 1);
    fake_redis_reply(bench.fake, "+mine\r\nHTTP/1.1 200 OK\r\n");
    turn_until(bench.loop, bench.n_losses == 1);
    assert_ended(&bench, 0, REDIS_COMMAND_REPLIED, "mine");
    assert_ended(&bench, 1, REDIS_COMMAND_LOST, "");
    turn_until(bench.loop, bench.n_ups == 2);
    fake_redis_reply(bench.fake, "+again\r\n");
    submit(&bench, 1);
    turn_until(bench.loop, bench.notes[1].n_ends > 0);
    assert_ended(&bench, 1, REDIS_COMMAND_REPLIED, "again");
    teardown(&bench);
}

static void test_refused_connections_fail_at_once_until_the_node_appears(void **state) {
    (void)state;
    struct bench bench;
    setup_options(&bench, 500000, 100);
    fake_redis_stop(&bench.fake);
    connect_bench(&bench);
    submit(&bench, 0); /* the first attempt is still to come */
    turn_until(bench.loop, bench.n_downs == 1);
    assert_ended(&bench, 0, REDIS_COMMAND_UNSENT, "");
    assert_int_equal(submit_bytes(&bench, 1, of(get), (struct bytes){0}, 1), REDIS_SUBMIT_DOWN);
    turn_until(bench.loop, bench.n_downs == 2);
    bench.fake = fake_redis_start(bench.loop, bench.port);
    turn_until(bench.loop, bench.n_ups == 1);
    assert_int_equal(bench.n_losses, 0);
    assert_int_equal(metric_get(&bench.metrics.connects), 1);
    assert_int_equal(metric_get(&bench.metrics.connects_failed), bench.n_downs);
    fake_redis_reply(bench.fake, "+OK\r\n");
    submit(&bench, 1);
    turn_until(bench.loop, bench.notes[1].n_ends > 0);
    assert_ended(&bench, 1, REDIS_COMMAND_REPLIED, "OK");
    teardown(&bench);
}

static void test_destroyed_with_everything_open_it_calls_nobody(void **state) {
    (void)state;
    struct bench bench;
    setup(&bench);
    submit(&bench, 0);
    turn_until(bench.loop, fake_redis_count(bench.fake, "GET") == 1);
    submit(&bench, 1);
    redis_conn_destroy(&bench.conn);
    assert_null(bench.conn);
    assert_int_equal(bench.notes[0].n_ends + bench.notes[1].n_ends + bench.n_downs, 0);
    teardown(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replies_are_paired_in_order),
        cmocka_unit_test(test_commands_of_one_turn_are_one_write),
        cmocka_unit_test(test_head_and_tail_are_sent_one_behind_the_other),
        cmocka_unit_test(test_of_several_replies_the_last_is_handed_up),
        cmocka_unit_test(test_replies_arrive_byte_by_byte),
        cmocka_unit_test(test_a_command_larger_than_the_socket_arrives_whole),
        cmocka_unit_test(test_above_the_cap_commands_are_refused),
        cmocka_unit_test(test_commands_wait_for_the_greetings_reply),
        cmocka_unit_test(test_a_greeting_refused_is_a_failed_attempt),
        cmocka_unit_test(test_a_wrong_password_is_the_operators_affair),
        cmocka_unit_test(test_every_reply_to_the_greeting_is_awaited),
        cmocka_unit_test(test_an_echo_is_no_greeting),
        cmocka_unit_test(test_silence_ends_with_the_connect_timeout),
        cmocka_unit_test(test_a_lost_connection_ends_each_command_once),
        cmocka_unit_test(test_written_in_part_is_lost_and_not_at_all_is_unsent),
        cmocka_unit_test(test_a_withdrawn_command_keeps_the_pairing_right),
        cmocka_unit_test(test_withdrawn_before_it_was_written_it_is_never_sent),
        cmocka_unit_test(test_one_reply_too_many_closes),
        cmocka_unit_test(test_a_greeting_answered_twice_closes),
        cmocka_unit_test(test_a_reply_that_never_ends_closes),
        cmocka_unit_test(test_replies_in_pieces_of_each_length),
        cmocka_unit_test(test_garbage_closes),
        cmocka_unit_test(test_refused_connections_fail_at_once_until_the_node_appears),
        cmocka_unit_test(test_destroyed_with_everything_open_it_calls_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
