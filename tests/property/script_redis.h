/* script_redis.h — a redis-server that runs our scripts, and one connection to it.
 *
 * Every answer is borrowed until the next call. What goes wrong on the way fails the running cmocka test. */
#ifndef SLUICE_TESTS_SCRIPT_REDIS_H
#define SLUICE_TESTS_SCRIPT_REDIS_H

#include "server/store/script.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/text_bytes.h"

struct script_redis {
    struct redis_fixture *fixture;
    struct redis_link link;
};

void script_redis_open(struct script_redis *redis);
void script_redis_close(struct script_redis *redis);
/* cmocka's, for tests whose state is one of these and nothing else. */
int script_redis_set_up(void **state);
int script_redis_tear_down(void **state);

/* One command, from words or from C strings, the last one NULL. */
struct redis_answer script_redis_send(struct script_redis *redis, const struct bytes *words, size_t n_words);
struct redis_answer script_redis_call(struct script_redis *redis, ...) __attribute__((sentinel));
/* Loads it, and asserts that Redis has it under our hash. */
void script_redis_load(struct script_redis *redis, const struct script *script);

#endif
