/* test_quota_redis.c — the scripts of quotas in a real redis-server: all or nothing, conflicts, seeds, the audit. */
#include "tests/support/test_prelude.h"

#include <inttypes.h>

#include "server/core/slot.h"
#include "server/quota/fleet.h"
#include "server/quota/ledger.h"
#include "tests/property/script_redis.h"

#define NOW "1800000000000"
enum { ANSWER_BYTES = 256 };

static int forget_all(void **state) {
    script_redis_call(*state, "CONFIG", "SET", "maxmemory", "0", NULL);
    return script_redis_call(*state, "FLUSHALL", NULL).kind == REDIS_STATUS ? 0 : -1;
}

/* Runs a script by its body; its answer as text: a number, a string or an error. */
static const char *run(struct script_redis *redis, const struct script *script, const struct buf *argument) {
    static char text[ANSWER_BYTES];
    const struct bytes args[] = {text_bytes("EVAL"),
                                 text_bytes(script->body),
                                 text_bytes("2"),
                                 text_bytes(LEDGER_KEY_QUOTAS),
                                 text_bytes(LEDGER_KEY_CHANGES),
                                 {buf_front(argument), buf_len(argument)},
                                 text_bytes(NOW)};
    struct redis_answer answer = script_redis_send(redis, args, 7);
    if (answer.kind == REDIS_INTEGER) {
        snprintf(text, sizeof text, "%" PRId64, answer.integer);
    } else {
        snprintf(text, sizeof text, "%.*s", (int)answer.text.len, (const char *)answer.text.data);
    }
    return text;
}

struct change {
    const char *tenant, *resource, *text;
    int64_t if_revision;
};

static const char *put_as(struct script_redis *redis, const struct ledger_put *put,
                          const struct change *changes, size_t n_changes) {
    struct buf argument = {0};
    assert_true(ledger_begin_put(put, &argument));
    for (size_t i = 0; i < n_changes; i++) {
        assert_true(ledger_add_put(text_bytes(changes[i].tenant), text_bytes(changes[i].resource),
                                   text_bytes(changes[i].text), changes[i].if_revision, &argument));
    }
    const char *answer = run(redis, &script_quota_put, &argument);
    buf_deinit(&argument);
    return answer;
}

#define PUT(redis, ...)                                                                                        \
    put_as(redis, &(struct ledger_put){.who = text_bytes("ann"), .from = text_bytes("::1")},                   \
           (const struct change[]){__VA_ARGS__},                                                               \
           sizeof((const struct change[]){__VA_ARGS__}) / sizeof(struct change))
#define SEED(redis, seed_kind, more, over, ...)                                                                \
    put_as(redis,                                                                                              \
           &(struct ledger_put){                                                                               \
               .kind = seed_kind, .is_followed = more, .above = over, .who = text_bytes("seed")},              \
           (const struct change[]){__VA_ARGS__},                                                               \
           sizeof((const struct change[]){__VA_ARGS__}) / sizeof(struct change))
#define ANY LEDGER_ANY_REVISION

static void expect_stored(struct script_redis *redis, const char *field, const char *value) {
    struct redis_answer answer = script_redis_call(redis, "HGET", LEDGER_KEY_QUOTAS, field, NULL);
    if (value == NULL) {
        assert_int_equal(answer.kind, REDIS_NIL);
    } else {
        assert_true(ledger_is(answer.text, value));
    }
}

/* Entries are arrays, which the link does not read: a script makes one text of the stream. */
static void expect_changes(struct script_redis *redis, const char *wanted) {
    struct redis_answer answer = script_redis_call(
        redis, "EVAL",
        "local t={} for _,e in ipairs(redis.call('XRANGE',KEYS[1],'-','+')) do t[#t+1]=e[1]..' '..'what='.."
        "(function() local m={} for i=1,#e[2],2 do m[e[2][i]]=e[2][i+1] end return m.what..' '..m.who..' '.."
        "m.tenant..' '..m.resource..' '..(m.old or '-')..' '..m.new..' '..m.at_ms..' '..(m.detail or "
        "'')..(m.scope or '')..(m.limit or '') end)()"
        " end return table.concat(t,';')",
        "1", LEDGER_KEY_CHANGES, NULL);
    char text[1024];
    snprintf(text, sizeof text, "%.*s", (int)answer.text.len, (const char *)answer.text.data);
    assert_string_equal(text, wanted);
}

static void test_each_change_gets_the_next_revision(void **state) {
    assert_string_equal(PUT(*state, {"t", "r", "{1}", ANY}, {"", "default", "deny", ANY}), "2");
    assert_string_equal(PUT(*state, {"t", "r", "{2}", ANY}), "3");
    expect_stored(*state, "t\nr", "3 {2}");
    expect_stored(*state, "\ndefault", "2 deny");
    assert_string_equal(PUT(*state, {"t", "r", "", ANY}), "4");
    expect_stored(*state, "t\nr", NULL);
    expect_changes(*state, "1-0 what=put ann t r  {1} " NOW " ;2-0 what=default ann  default  deny " NOW
                           " ;3-0 what=put ann t r {1} {2} " NOW " ;4-0 what=delete ann t r {2}  " NOW " ");
}

static void test_one_conflict_changes_nothing(void **state) {
    assert_string_equal(PUT(*state, {"t", "r", "{1}", 0}), "1");
    assert_string_equal(PUT(*state, {"t", "s", "{1}", ANY}, {"t", "r", "{9}", 0}), "1 1 {1}");
    assert_string_equal(PUT(*state, {"t", "s", "{1}", ANY}, {"t", "r", "{9}", 7}), "1 1 {1}");
    assert_string_equal(PUT(*state, {"t", "s", "{1}", 1}), "0 ");
    assert_string_equal(PUT(*state, {"t", "s", "{1}", ANY}, {"t", "x", "", ANY}), "1 ");
    expect_stored(*state, "t\ns", NULL);
    assert_int_equal(script_redis_call(*state, "XLEN", LEDGER_KEY_CHANGES, NULL).integer, 1);
    assert_string_equal(PUT(*state, {"t", "s", "{1}", 0}, {"t", "r", "{2}", 1}), "3");
}

static void test_store_that_is_behind_takes_no_change(void **state) {
    struct change change = {"t", "r", "{1}", ANY};
    assert_string_equal(put_as(*state, &(struct ledger_put){.above = 1}, &change, 1), "behind");
    assert_string_equal(put_as(*state, &(struct ledger_put){.above = 0}, &change, 1), "1");
    assert_string_equal(put_as(*state, &(struct ledger_put){.above = 1}, &change, 1), "2");
    assert_string_equal(put_as(*state, &(struct ledger_put){.above = 3}, &change, 1), "behind");
    expect_stored(*state, "t\nr", "2 {1}");
}

static void test_full_redis_refuses_before_the_first_write(void **state) {
    assert_string_equal(PUT(*state, {"t", "r", "{1}", ANY}), "1");
    script_redis_call(*state, "CONFIG", "SET", "maxmemory", "1", NULL);
    assert_memory_equal(PUT(*state, {"t", "r", "{2}", ANY}, {"t", "s", "{2}", ANY}), "OOM ", 4);
    script_redis_call(*state, "CONFIG", "SET", "maxmemory", "0", NULL);
    expect_stored(*state, "t\nr", "1 {1}");
    assert_int_equal(script_redis_call(*state, "XLEN", LEDGER_KEY_CHANGES, NULL).integer, 1);
}

/* The same rule as feed.c's, in few lines: what the stream says, in order, gives what the hash holds. */
static void test_stream_replayed_gives_the_hash(void **state) {
    uint32_t seed = 7;
    for (int i = 0; i < 300; i++) {
        char resource[16], text[16];
        seed = seed * 1664525 + 1013904223;
        snprintf(resource, sizeof resource, "r%u", (seed >> 16) % 20);
        snprintf(text, sizeof text, "{%d}", i);
        if ((seed >> 24) % 3 == 0) {
            text[0] = '\0';
        }
        PUT(*state, {"t", resource, text, ANY});
    }
    struct redis_answer answer = script_redis_call(
        *state, "EVAL",
        "local m,n={},0 for _,e in ipairs(redis.call('XRANGE','" LEDGER_KEY_CHANGES "','-','+')) do local f={} "
        "for i=1,#e[2],2 do f[e[2][i]]=e[2][i+1] end local k=f.tenant..'\\n'..f.resource "
        "m[k]=f.new~='' and (e[1]:match('^%d+')..' '..f.new) or nil end "
        "for k,v in pairs(m) do n=n+1 if redis.call('HGET',KEYS[1],k)~=v then return -1 end end "
        "return n==redis.call('HLEN',KEYS[1]) and n or -2",
        "1", LEDGER_KEY_QUOTAS, NULL);
    assert_int_equal(answer.kind, REDIS_INTEGER);
    assert_in_range(answer.integer, 1, 20);
}

static void test_seed_takes_only_in_an_empty_store(void **state) {
    assert_string_equal(
        SEED(*state, LEDGER_PUT_SEED, false, 0, {"", "default", "allow", ANY}, {"t", "r", "{1}", ANY}), "2");
    assert_string_equal(SEED(*state, LEDGER_PUT_SEED, false, 0, {"t", "r", "{9}", ANY}), "0 ");
    assert_string_equal(SEED(*state, LEDGER_PUT_SEED_GOES_ON, false, 0, {"t", "r", "{9}", ANY}), "0 ");
    expect_stored(*state, "t\nr", "2 {1}");
}

static void test_half_a_seed_is_completed_by_another(void **state) {
    assert_string_equal(SEED(*state, LEDGER_PUT_SEED, true, 40, {"t", "a", "{1}", ANY}), "41");
    expect_stored(*state, "\nseeding", "41 -");
    assert_string_equal(SEED(*state, LEDGER_PUT_SEED, true, 0, {"t", "a", "{2}", ANY}), "0 ");
    assert_string_equal(PUT(*state, {"t", "b", "{op}", ANY}), "42");
    assert_string_equal(
        SEED(*state, LEDGER_PUT_SEED_GOES_ON, true, 0, {"t", "a", "{2}", ANY}, {"t", "b", "{2}", ANY}), "42");
    assert_string_equal(SEED(*state, LEDGER_PUT_SEED_GOES_ON, false, 0, {"t", "c", "{2}", ANY}), "43");
    expect_stored(*state, "t\na", "41 {1}");
    expect_stored(*state, "t\nb", "42 {op}");
    expect_stored(*state, "t\nc", "43 {2}");
    expect_stored(*state, "\nseeding", NULL);
}

static const char *note(struct script_redis *redis, const char *what) {
    struct buf argument = {0};
    struct ledger_entry entry = {.what = text_bytes(what),
                                 .who = text_bytes("ann"),
                                 .tenant = text_bytes("t"),
                                 .resource = text_bytes("r"),
                                 .new = text_bytes("{?}"),
                                 .detail = text_bytes("because "),
                                 .scope = text_bytes("tenant "),
                                 .limit = text_bytes("day")};
    assert_true(ledger_write_note(&entry, &argument));
    const char *answer = run(redis, &script_quota_note, &argument);
    buf_deinit(&argument);
    return answer;
}

static void test_notes_stand_behind_the_last_change(void **state) {
    assert_string_equal(note(*state, "refused"), "0");
    assert_string_equal(PUT(*state, {"t", "r", "{1}", ANY}), "1");
    assert_string_equal(note(*state, "refused"), "1");
    assert_string_equal(note(*state, "reset"), "1");
    assert_string_equal(PUT(*state, {"t", "r", "{2}", ANY}), "2");
    expect_changes(
        *state, "0-1 what=refused ann t r - {?} " NOW " because tenant day;1-0 what=put ann t r  {1} " NOW
                " ;1-1 what=refused ann t r - {?} " NOW " because tenant day;1-2 what=reset ann t r - {?} " NOW
                " because tenant day;2-0 what=put ann t r {1} {2} " NOW " ");
}

static void test_lost_stream_does_not_turn_revisions_back(void **state) {
    assert_string_equal(PUT(*state, {"t", "r", "{1}", ANY}, {"t", "s", "{1}", ANY}), "2");
    script_redis_call(*state, "DEL", LEDGER_KEY_CHANGES, NULL);
    assert_string_equal(note(*state, "refused"), "2");
    script_redis_call(*state, "DEL", LEDGER_KEY_CHANGES, NULL);
    assert_string_equal(PUT(*state, {"t", "r", "{2}", 1}), "3");
    script_redis_call(*state, "XTRIM", LEDGER_KEY_CHANGES, "MAXLEN", "0", NULL);
    assert_string_equal(PUT(*state, {"t", "r", "{3}", 3}), "4");
}

static void test_fleet_is_listed_by_id(void **state) {
    script_redis_call(*state, "ZADD", FLEET_KEY_SEEN, "1000", "b", NULL);
    script_redis_call(*state, "ZADD", FLEET_KEY_SEEN, "99999999999999", "a", NULL);
    script_redis_call(*state, "HSET", FLEET_KEY_TOLD, "b", "{\"address\":1}", NULL);
    char program[2048];
    snprintf(program, sizeof program,
             "local list = (function(KEYS)\n%s\nend)(KEYS) return list[1]..' '..list[2]..' '"
             "..list[3]..' '..list[4]..' '..(list[5] > 1e12 and 'long' or 'short')..' '..list[6]",
             strchr(script_fleet_list.body, '\n') + 1);
    const struct bytes args[] = {text_bytes("EVAL"), text_bytes(program), text_bytes("2"),
                                 text_bytes(FLEET_KEY_SEEN), text_bytes(FLEET_KEY_TOLD)};
    struct script_redis *redis = *state;
    struct redis_answer answer = script_redis_send(redis, args, 5);
    assert_true(ledger_is(answer.text, "a 0  b long {\"address\":1}"));
}

static void test_keys_share_a_slot(void **state) {
    (void)state;
    assert_int_equal(slot_of_key(text_bytes(LEDGER_KEY_QUOTAS)), slot_of_key(text_bytes(LEDGER_KEY_CHANGES)));
    assert_int_equal(script_quota_put.n_keys, 2);
    assert_int_equal(script_quota_note.n_keys, 2);
    assert_int_equal(script_fleet_list.n_keys, 2);
}

#define QUOTA_TEST(test) cmocka_unit_test_setup(test, forget_all)

int main(void) {
    const struct CMUnitTest tests[] = {
        QUOTA_TEST(test_each_change_gets_the_next_revision),
        QUOTA_TEST(test_one_conflict_changes_nothing),
        QUOTA_TEST(test_store_that_is_behind_takes_no_change),
        QUOTA_TEST(test_full_redis_refuses_before_the_first_write),
        QUOTA_TEST(test_stream_replayed_gives_the_hash),
        QUOTA_TEST(test_seed_takes_only_in_an_empty_store),
        QUOTA_TEST(test_half_a_seed_is_completed_by_another),
        QUOTA_TEST(test_notes_stand_behind_the_last_change),
        QUOTA_TEST(test_lost_stream_does_not_turn_revisions_back),
        QUOTA_TEST(test_fleet_is_listed_by_id),
        QUOTA_TEST(test_keys_share_a_slot),
    };
    return cmocka_run_group_tests(tests, script_redis_set_up, script_redis_tear_down);
}
