/* fake_redis.h — a Redis node that says what a test tells it to, on loopback, in the test's own loop.
 *
 * AUTH, SCRIPT, CLUSTER and TIME are answered from what is set below; every other command takes the next reply from a
 * queue, or gets none while the queue is empty. What was heard can be read. Failures inside end the test. */
#ifndef SLUICE_TESTS_SUPPORT_FAKE_REDIS_H
#define SLUICE_TESTS_SUPPORT_FAKE_REDIS_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fake_redis;

/* Listens on 127.0.0.1; port 0 takes a free one. Stop closes everything and nulls the pointer. */
struct fake_redis *fake_redis_start(struct ev_loop *loop, uint16_t port);
void fake_redis_stop(struct fake_redis **fake);
uint16_t fake_redis_port(const struct fake_redis *fake);

/* The reply, in RESP, to AUTH (OK at first), SCRIPT (a sha at first) and CLUSTER (no cluster at first); "" is
 * silence. */
void fake_redis_set_login(struct fake_redis *fake, const char *resp);
void fake_redis_set_greeting(struct fake_redis *fake, const char *resp);
void fake_redis_set_slots(struct fake_redis *fake, const char *resp);
/* Commands of this name are neither heard nor answered. */
void fake_redis_mute(struct fake_redis *fake, const char *word);
/* How far the clock that TIME shows is ahead of the real one; 0 at first. */
void fake_redis_set_ahead(struct fake_redis *fake, int64_t ahead_us);
/* CLUSTER says that `a` owns the slots below `split` and `b` the rest, except the last `n_holes`; both are at
 * `host`, which may be left out (NULL: nil). */
void fake_redis_set_owners(struct fake_redis *fake, const char *host, const struct fake_redis *a, int split,
                           const struct fake_redis *b, int n_holes);
/* Queues a reply, given as RESP or by a printf form of it. */
void fake_redis_reply(struct fake_redis *fake, const char *form, ...) __attribute__((format(printf, 2, 3)));
/* Writes to every client, unasked. */
void fake_redis_send(struct fake_redis *fake, const char *resp);
void fake_redis_send_bytes(struct fake_redis *fake, const void *bytes, size_t n_bytes);
/* Writes at most so many bytes in each turn of the loop; 0: all. */
void fake_redis_set_slice(struct fake_redis *fake, size_t n_bytes);
/* While deaf, nothing is read. */
void fake_redis_set_deaf(struct fake_redis *fake, int is_deaf);
void fake_redis_drop_clients(struct fake_redis *fake);

/* The first word of every command heard, each followed by a space: "SCRIPT CLUSTER EVALSHA ". */
const char *fake_redis_heard(const struct fake_redis *fake);
void fake_redis_forget(struct fake_redis *fake);
/* How often `word` is in it. */
unsigned fake_redis_count(const struct fake_redis *fake, const char *word);
/* The words of the last AUTH heard, joined by '|'; "" before the first. */
const char *fake_redis_login(const struct fake_redis *fake);
/* The same of the last command heard. */
const char *fake_redis_last(const struct fake_redis *fake);
/* Its last word ends in these bytes, whatever they are. */
bool fake_redis_last_ends_in(const struct fake_redis *fake, const void *bytes, size_t n_bytes);

/* Runs the loop until `condition` holds; the test fails when it does not within two seconds. */
#define turn_until(loop, condition)                                                                            \
    do {                                                                                                       \
        struct fake_clock turn_clock;                                                                          \
        for (fake_clock_start(&turn_clock, loop); !(condition);) {                                             \
            fake_clock_turn(&turn_clock, #condition);                                                          \
        }                                                                                                      \
        fake_clock_stop(&turn_clock);                                                                          \
    } while (0)

struct fake_clock {
    struct ev_loop *loop;
    ev_timer tick;
    unsigned n_ticks;
};
void fake_clock_start(struct fake_clock *clock, struct ev_loop *loop);
void fake_clock_turn(struct fake_clock *clock, const char *waiting_for);
void fake_clock_stop(struct fake_clock *clock);

#endif
