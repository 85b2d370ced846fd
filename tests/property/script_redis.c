/* script_redis.c — a redis-server that runs our scripts, and one connection to it; see script_redis.h. */
#include "tests/support/test_prelude.h"

#include "tests/property/script_redis.h"

enum { MAX_WORDS = 8 };

void script_redis_open(struct script_redis *redis) {
    redis->link = (struct redis_link){.fd = -1};
    redis->fixture = redis_fixture_start();
    assert_non_null(redis->fixture);
    assert_true(redis_link_open(&redis->link, redis_fixture_port(redis->fixture)));
}

void script_redis_close(struct script_redis *redis) {
    redis_link_close(&redis->link);
    redis_fixture_stop(&redis->fixture);
}

int script_redis_set_up(void **state) {
    struct script_redis *redis = calloc(1, sizeof *redis);
    assert_non_null(redis);
    *state = redis;
    script_redis_open(redis);
    return 0;
}

int script_redis_tear_down(void **state) {
    struct script_redis *redis = *state;
    script_redis_close(redis);
    free(redis);
    return 0;
}

struct redis_answer script_redis_send(struct script_redis *redis, const struct bytes *words, size_t n_words) {
    struct redis_answer answer;
    assert_true(redis_link_queue(&redis->link, words, n_words));
    assert_true(redis_link_flush(&redis->link));
    assert_true(redis_link_read(&redis->link, &answer));
    return answer;
}

struct redis_answer script_redis_call(struct script_redis *redis, ...) {
    struct bytes words[MAX_WORDS];
    size_t n_words = 0;
    va_list list;
    va_start(list, redis);
    for (const char *word; (word = va_arg(list, const char *)) != NULL;) {
        assert_true(n_words < MAX_WORDS);
        words[n_words++] = text_bytes(word);
    }
    va_end(list);
    return script_redis_send(redis, words, n_words);
}

void script_redis_load(struct script_redis *redis, const struct script *script) {
    struct redis_answer answer = script_redis_call(redis, "SCRIPT", "LOAD", script->body, NULL);
    assert_int_equal(answer.kind, REDIS_BULK);
    assert_int_equal(answer.text.len, SCRIPT_SHA1_BYTES);
    assert_memory_equal(answer.text.data, script->sha1, SCRIPT_SHA1_BYTES);
}
