/* bench_check_script.c — how fast is the check script, held against a script that does only SET k v PX t?
 *
 * Starts a redis-server of its own. In each scenario both scripts run in turn, on the same connections, with
 * the same pipeline, over the same keys and records, for several rounds; medians are printed. Rates are per
 * second of the server's own CPU time, so other load on the machine does not blur them; its one thread is the
 * core.
 *
 * usage: bench_check_script [ROUNDS [CORE]]     CORE: of the server; exit 1 when it cannot measure; no figure is asserted */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/store/script.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/text_bytes.h"

enum { LINKS = 4, PIPELINE = 32, DEFAULT_ROUNDS = 7, MAX_ROUNDS = 99, ROUND_MS = 250, FILL_CHUNK = 50000 };

/* Every key is one 's' and nine digits. */
static const char any_key[] = "s000000000";
enum { KEY_BYTES = sizeof any_key - 1 };

static const char base_script[] = "#!lua\nreturn redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n";
static const char record_ttl_ms[] = "3600000";
/* ARGV: record, first, last. */
static const char fill_script[] = "for i = ARGV[2], ARGV[3] do "
                                  "redis.call('SET', string.format('s%09d', i), ARGV[1], 'PX', 3600000) end";

struct scenario {
    const char *name;
    uint32_t n_keys;
    uint32_t n_limits;
    enum bucket_algorithm algorithm;
    int64_t count, period_s, burst_tokens, cost_tokens;
    char reply_tag; /* first byte of every reply: 1 allowed, 2 denied */
};

static const struct scenario scenarios[] = {
    {"10^6 keys", 1000000, 1, BUCKET_TOKEN, 1, 36, 1000, 1, 1},
    {"10^6 keys, leaky", 1000000, 1, BUCKET_LEAKY, 1, 36, 1000, 1, 1},
    {"10^6 keys, 3 limits", 1000000, 3, BUCKET_TOKEN, 1, 36, 1000, 1, 1},
    {"10^6 keys, denied", 1000000, 1, BUCKET_TOKEN, 1, 36, 1000, 1000, 2},
    {"one hot key", 1, 1, BUCKET_TOKEN, 10000000, 1, 1000000000, 1, 1},
};

struct bench {
    struct redis_fixture *redis;
    clockid_t cpu_clock; /* of the server */
    struct redis_link links[LINKS];
    char base_sha1[SCRIPT_SHA1_BYTES + 1];
    uint64_t random;
};

/* PIPELINE times the same command, but for the digits of its key. */
struct batch {
    struct buf bytes;
    size_t key_at, stride;
    uint32_t n_keys;
    char reply_tag; /* 0: any reply */
};

static int64_t read_clock_ns(clockid_t clock) {
    struct timespec t = {0};
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint64_t next_random(struct bench *bench) {
    bench->random ^= bench->random << 13;
    bench->random ^= bench->random >> 7;
    bench->random ^= bench->random << 17;
    return bench->random;
}

/* A record in which one token of each limit has just been used. */
static struct bytes pack_record(const struct scenario *scenario, uint8_t out[SCRIPT_RECORD_MAX_BYTES]) {
    struct bucket_record record = {.at_us = read_clock_ns(CLOCK_REALTIME) / 1000,
                                   .n_levels = scenario->n_limits};
    for (uint32_t i = 0; i < scenario->n_limits; i++) {
        record.levels[i] = (struct bucket_level){i, (scenario->burst_tokens - 1) * BUCKET_UTOK_PER_TOKEN};
    }
    return (struct bytes){out, script_record_pack(&record, out)};
}

static struct bytes pack_argument(const struct scenario *scenario, uint8_t out[SCRIPT_CHECK_ARG_MAX_BYTES]) {
    struct bucket_limit limits[BUCKET_MAX_LIMITS];
    for (uint32_t i = 0; i < scenario->n_limits; i++) {
        limits[i] = (struct bucket_limit){i, scenario->algorithm, scenario->count, scenario->period_s,
                                          scenario->burst_tokens * BUCKET_UTOK_PER_TOKEN};
    }
    struct script_check check = {
        .limits = limits, .n_limits = scenario->n_limits, .cost_tokens = scenario->cost_tokens};
    return (struct bytes){out, script_check_pack(&check, out, SCRIPT_CHECK_ARG_MAX_BYTES)};
}

/* Reads one answer; says what is wrong with it on stderr. */
static bool read_answer(struct redis_link *link, char reply_tag) {
    struct redis_answer answer;
    if (!redis_link_read(link, &answer)) {
        fprintf(stderr, "connection lost\n");
        return false;
    }
    bool is_wanted = reply_tag == 0 || (answer.text.len > 0 && answer.text.data[0] == (uint8_t)reply_tag);
    if (answer.kind == REDIS_ERROR || !is_wanted) {
        fprintf(stderr, "unexpected reply: %.*s\n", (int)answer.text.len, (const char *)answer.text.data);
        return false;
    }
    return true;
}

static bool fill_keys(struct redis_link *link, uint32_t n_keys, struct bytes record) {
    for (uint32_t first = 0; first < n_keys; first += FILL_CHUNK) {
        char from[16], to[16];
        snprintf(from, sizeof from, "%" PRIu32, first);
        snprintf(to, sizeof to, "%" PRIu32, n_keys - first > FILL_CHUNK ? first + FILL_CHUNK - 1 : n_keys - 1);
        const struct bytes args[] = {text_bytes("EVAL"), text_bytes(fill_script), text_bytes("0"), record,
                                     text_bytes(from),   text_bytes(to)};
        if (!redis_link_queue(link, args, 6) || !redis_link_flush(link) || !read_answer(link, 0)) {
            return false;
        }
    }
    return true;
}

/* EVALSHA sha1 1 KEY ARGUMENT [TTL], PIPELINE times. */
static bool make_batch(struct batch *batch, const char *sha1, struct bytes argument, const char *ttl_ms) {
    struct redis_link link = {.fd = -1};
    const struct bytes args[] = {
        text_bytes("EVALSHA"), text_bytes(sha1), text_bytes("1"),
        text_bytes(any_key),   argument,         text_bytes(ttl_ms != NULL ? ttl_ms : "")};
    for (int i = 0; i < PIPELINE; i++) {
        if (!redis_link_queue(&link, args, ttl_ms != NULL ? 6 : 5)) {
            buf_deinit(&link.out);
            return false;
        }
    }
    const uint8_t *front = buf_front(&link.out);
    const uint8_t *key = memmem(front, buf_len(&link.out), any_key, KEY_BYTES);
    batch->bytes = link.out;
    batch->stride = buf_len(&link.out) / PIPELINE;
    batch->key_at = (size_t)(key - front);
    return true;
}

static bool send_batch(struct bench *bench, struct redis_link *link, const struct batch *batch) {
    size_t n = buf_len(&batch->bytes);
    uint8_t *out = buf_reserve(&link->out, n);
    if (out == NULL) {
        return false;
    }
    memcpy(out, buf_front(&batch->bytes), n);
    for (size_t at = batch->key_at; at < n; at += batch->stride) {
        uint64_t key = next_random(bench) % batch->n_keys;
        for (size_t digit = KEY_BYTES - 1; key > 0; digit--, key /= 10) {
            out[at + digit] = (uint8_t)('0' + key % 10);
        }
    }
    buf_commit(&link->out, n);
    return redis_link_flush(link);
}

static bool read_batch(struct redis_link *link, const struct batch *batch) {
    bool ok = true;
    for (int i = 0; ok && i < PIPELINE; i++) {
        ok = read_answer(link, batch->reply_tag);
    }
    return ok;
}

/* One round; every link always has a batch under way. Returns calls per CPU second, 0 on failure. */
static double run_round(struct bench *bench, const struct batch *batch) {
    int64_t end_ns = read_clock_ns(CLOCK_MONOTONIC) + (int64_t)ROUND_MS * 1000000;
    int64_t cpu_ns = read_clock_ns(bench->cpu_clock);
    int64_t n_calls = 0;
    bool ok = true;
    for (int i = 0; ok && i < LINKS; i++) {
        ok = send_batch(bench, &bench->links[i], batch);
    }
    while (ok && read_clock_ns(CLOCK_MONOTONIC) < end_ns) {
        for (int i = 0; ok && i < LINKS; i++, n_calls += PIPELINE) {
            ok = read_batch(&bench->links[i], batch) && send_batch(bench, &bench->links[i], batch);
        }
    }
    for (int i = 0; ok && i < LINKS; i++, n_calls += PIPELINE) {
        ok = read_batch(&bench->links[i], batch);
    }
    cpu_ns = read_clock_ns(bench->cpu_clock) - cpu_ns;
    return ok && cpu_ns > 0 ? (double)n_calls * 1e9 / (double)cpu_ns : 0;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool run_rounds(struct bench *bench, const struct scenario *scenario, const struct batch *base,
                       const struct batch *check, size_t n_rounds) {
    double bases[MAX_ROUNDS], checks[MAX_ROUNDS], ratios[MAX_ROUNDS];
    for (size_t i = 0; i < n_rounds; i++) {
        bases[i] = run_round(bench, base);
        checks[i] = run_round(bench, check);
        if (bases[i] <= 0 || checks[i] <= 0) {
            return false;
        }
        ratios[i] = checks[i] / bases[i];
    }
    qsort(bases, n_rounds, sizeof *bases, compare_doubles);
    qsort(checks, n_rounds, sizeof *checks, compare_doubles);
    qsort(ratios, n_rounds, sizeof *ratios, compare_doubles);
    printf("%-20s %10.0f %10.0f %10.3f   %.3f to %.3f\n", scenario->name, bases[n_rounds / 2],
           checks[n_rounds / 2], ratios[n_rounds / 2], ratios[0], ratios[n_rounds - 1]);
    fflush(stdout);
    return true;
}

static bool run_scenario(struct bench *bench, const struct scenario *scenario, size_t n_rounds) {
    uint8_t record_data[SCRIPT_RECORD_MAX_BYTES], argument_data[SCRIPT_CHECK_ARG_MAX_BYTES];
    struct bytes record = pack_record(scenario, record_data);
    struct bytes argument = pack_argument(scenario, argument_data);
    struct batch base = {.n_keys = scenario->n_keys};
    struct batch check = {.n_keys = scenario->n_keys, .reply_tag = scenario->reply_tag};
    bool ok = make_batch(&base, bench->base_sha1, record, record_ttl_ms) &&
              make_batch(&check, script_check.sha1, argument, NULL) &&
              fill_keys(&bench->links[0], scenario->n_keys, record) &&
              run_rounds(bench, scenario, &base, &check, n_rounds);
    buf_deinit(&base.bytes);
    buf_deinit(&check.bytes);
    return ok;
}

/* Denials alone, counted by the server. */
static bool show_writes_of_denials(struct bench *bench) {
    const struct scenario *denied = &scenarios[3];
    struct redis_link *link = &bench->links[0];
    struct redis_answer answer;
    uint8_t record_data[SCRIPT_RECORD_MAX_BYTES], argument_data[SCRIPT_CHECK_ARG_MAX_BYTES];
    struct batch check = {.n_keys = denied->n_keys, .reply_tag = denied->reply_tag};
    bool ok = make_batch(&check, script_check.sha1, pack_argument(denied, argument_data), NULL) &&
              fill_keys(link, denied->n_keys, pack_record(denied, record_data)) &&
              redis_link_call(link, &answer, "CONFIG", "RESETSTAT", (char *)NULL) &&
              run_round(bench, &check) > 0;
    if (ok) {
        printf("\n%" PRId64 " denials issued %" PRId64 " SET\n", redis_link_calls_of(link, "evalsha"),
               redis_link_calls_of(link, "set"));
    }
    buf_deinit(&check.bytes);
    return ok;
}

static bool load_scripts(struct bench *bench) {
    struct redis_answer answer;
    struct redis_link *link = &bench->links[0];
    if (!redis_link_call(link, &answer, "SCRIPT", "LOAD", script_check.body, (char *)NULL) ||
        answer.kind != REDIS_BULK ||
        !redis_link_call(link, &answer, "SCRIPT", "LOAD", base_script, (char *)NULL) ||
        answer.kind != REDIS_BULK || answer.text.len != SCRIPT_SHA1_BYTES) {
        return false;
    }
    memcpy(bench->base_sha1, answer.text.data, SCRIPT_SHA1_BYTES);
    return true;
}

static bool open_bench(struct bench *bench, const char *core) {
    const char *const pinned[] = {"taskset", "-c", core, NULL};
    bench->redis = redis_fixture_start_with(core != NULL ? pinned : NULL, NULL);
    if (bench->redis == NULL || clock_getcpuclockid(redis_fixture_pid(bench->redis), &bench->cpu_clock) != 0) {
        return false;
    }
    bool ok = true;
    for (int i = 0; ok && i < LINKS; i++) {
        ok = redis_link_open(&bench->links[i], redis_fixture_port(bench->redis));
    }
    return ok && load_scripts(bench);
}

static void close_bench(struct bench *bench) {
    for (int i = 0; i < LINKS; i++) {
        redis_link_close(&bench->links[i]);
    }
    redis_fixture_stop(&bench->redis);
}

int main(int argc, char **argv) {
    struct bench bench = {.random = UINT64_C(88172645463325252)};
    for (int i = 0; i < LINKS; i++) {
        bench.links[i].fd = -1;
    }
    long n_rounds = argc > 1 ? strtol(argv[1], NULL, 10) : DEFAULT_ROUNDS;
    if (n_rounds < 1 || n_rounds > MAX_ROUNDS) {
        fprintf(stderr, "usage: bench_check_script [ROUNDS, 1 to %d [CORE]]\n", MAX_ROUNDS);
        return 2;
    }
    bool ok = open_bench(&bench, argc > 2 ? argv[2] : NULL);
    if (ok) {
        printf("Calls per second on one core, %d connections, pipeline %d, medians of %ld rounds\n", LINKS,
               PIPELINE, n_rounds);
        printf("%-20s %10s %10s %10s   %s\n", "", "SET only", "check", "ratio", "ratios of the rounds");
    }
    for (size_t i = 0; ok && i < sizeof scenarios / sizeof *scenarios; i++) {
        ok = run_scenario(&bench, &scenarios[i], (size_t)n_rounds);
    }
    ok = ok && show_writes_of_denials(&bench);
    close_bench(&bench);
    if (!ok) {
        fprintf(stderr, "bench_check_script: could not measure\n");
    }
    return ok ? 0 : 1;
}
