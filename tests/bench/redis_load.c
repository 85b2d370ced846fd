/* redis_load.c — asks a Redis, or what speaks its protocol, as `sluice bench` asks a frontend, and prints one line of
 * figures: the references of `make bench`.
 *
 *   fill    each key once, in order              (the keys exist afterwards)
 *   closed  every connection always has --pipeline calls under way
 *   open    --rate calls a second, on one connection, one at a time in each packet; latency counts from when a call
 *           was due
 *
 * Calls are copied from a template in which only the digits of the key change, and of the answers only the length is
 * looked at, so that this program has less to do than what it measures. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "client/cmd/commands.h"
#include "client/cmd/histogram.h"
#include "client/cmd/rng.h"
#include "server/base/clock.h"
#include "server/store/script.h"
#include "server/store/store_key.h"
#include "tests/support/redis_fixture.h"
#include "tests/support/text_bytes.h"

enum { CONNECTIONS_MAX = 64, PIPELINE_MAX = 1024, KEYS_PER_CALL_MAX = 2 };
#define US_PER_S INT64_C(1000000)

/* As `sluice bench` numbers its keys. */
static const char zero_key[] = "bench:000000000000000000";
static const char zeros[] = "000000000000000000";
enum { KEY_DIGITS = sizeof zeros - 1 };

struct load_options {
    int64_t port, n_keys, n_connections, pipeline, rate_per_s, duration_us, burst;
    bool is_fill, is_spinning;
};

/* `pipeline` calls, one behind the other. */
struct template {
    struct buf bytes;
    size_t call_bytes;
    size_t digits_at[KEYS_PER_CALL_MAX]; /* in a call */
    size_t n_digits;
    uint32_t n_answers; /* to one call; an array counts as one more */
};

struct load {
    const struct load_options *options;
    struct redis_link links[CONNECTIONS_MAX];
    struct template template;
    struct rng rng;
    uint64_t next_key; /* of a fill */
    uint64_t n_calls;
    struct histogram latency_us;
};

/* ---- what is asked ---- */

static bool queue(struct redis_link *link, const char *const words[]) {
    struct bytes args[8];
    size_t n = 0;
    for (; words[n] != NULL; n++) {
        args[n] = text_bytes(words[n]);
    }
    return redis_link_queue(link, args, n);
}

/* The call that a frontend makes for a key of tenant and resource "bench", whose quota is 1/h. */
static bool queue_check(struct redis_link *link, int64_t burst_tokens) {
    const struct bucket_limit limit = {0, BUCKET_TOKEN, 1, 3600, burst_tokens * BUCKET_UTOK_PER_TOKEN};
    const struct script_check check = {.limits = &limit, .n_limits = 1, .cost_tokens = 1};
    const struct bucket_name name =
        bucket_name_of(BUCKET_PER_KEY, text_bytes("bench"), text_bytes("cold"), text_bytes(zero_key));
    uint8_t key[STORE_KEY_MAX_BYTES], argument[SCRIPT_CHECK_ARG_MAX_BYTES];
    const struct bytes args[] = {text_bytes("EVALSHA"),
                                 text_bytes(script_check.sha1),
                                 text_bytes("1"),
                                 {key, store_key_write(&name, key, sizeof key)},
                                 {argument, script_check_pack(&check, argument, sizeof argument)}};
    return redis_link_queue(link, args, 5);
}

static bool queue_call(struct redis_link *link, const char *what, int64_t burst) {
    static const char *const get[] = {"GET", zero_key, NULL};
    static const char *const set[] = {"SET", zero_key, "0123456789abcdef01234", NULL};
    static const char *const incr[] = {"INCR", zero_key, NULL}, *const expire[] = {"EXPIRE", zero_key, "3600",
                                                                                   "NX", NULL};
    static const char *const throttle[] = {"THROTTLE", zero_key, "1000", "1", "3600", NULL};
    if (strcmp(what, "check") == 0) {
        return queue_check(link, burst);
    }
    if (strcmp(what, "incr") == 0) {
        return queue(link, incr) && queue(link, expire);
    }
    return queue(link, strcmp(what, "get") == 0 ? get : strcmp(what, "set") == 0 ? set : throttle);
}

static uint32_t answers_to(const char *what) {
    return strcmp(what, "incr") == 0 ? 2 : strcmp(what, "throttle") == 0 ? 6 : 1;
}

static bool make_template(struct template *template, const char *what, const struct load_options *options) {
    struct redis_link link = {.fd = -1};
    for (int64_t i = 0; i < options->pipeline; i++) {
        if (!queue_call(&link, what, options->burst)) {
            return false;
        }
    }
    template->bytes = link.out;
    template->call_bytes = buf_len(&link.out) / (size_t)options->pipeline;
    template->n_answers = answers_to(what);
    const uint8_t *front = buf_front(&link.out);
    for (size_t at = 0; at + KEY_DIGITS <= template->call_bytes && template->n_digits < KEYS_PER_CALL_MAX;
         at++) {
        if (memcmp(front + at, zeros, KEY_DIGITS) == 0) {
            template->digits_at[template->n_digits++] = at;
            at += KEY_DIGITS - 1;
        }
    }
    return template->n_digits > 0;
}

static uint64_t pick_key(struct load *load) {
    uint64_t n_keys = (uint64_t)load->options->n_keys;
    return load->options->is_fill ? load->next_key++ % n_keys : rng_below(&load->rng, n_keys);
}

static void write_key(const struct template *template, uint8_t *call, uint64_t key) {
    for (size_t i = 0; i < template->n_digits; i++) {
        uint64_t rest = key;
        for (size_t digit = KEY_DIGITS; rest > 0; rest /= 10) {
            call[template->digits_at[i] + --digit] = (uint8_t)('0' + rest % 10);
        }
    }
}

/* ---- asking ---- */

static bool send_calls(struct load *load, struct redis_link *link, size_t n_calls) {
    const struct template *template = &load->template;
    size_t n_bytes = n_calls * template->call_bytes;
    uint8_t *out = buf_reserve(&link->out, n_bytes);
    if (out == NULL) {
        return false;
    }
    memcpy(out, buf_front(&template->bytes), n_bytes);
    for (size_t i = 0; i < n_calls; i++) {
        write_key(template, out + i * template->call_bytes, pick_key(load));
    }
    buf_commit(&link->out, n_bytes);
    return redis_link_flush(link);
}

/* An error that begins with '*' is the head of an array. */
static bool read_answers(struct load *load, struct redis_link *link, size_t n_calls) {
    for (size_t i = 0; i < n_calls * load->template.n_answers; i++) {
        struct redis_answer answer;
        if (!redis_link_read(link, &answer)) {
            fprintf(stderr, "redis_load: connection lost\n");
            return false;
        }
        if (answer.kind == REDIS_ERROR && answer.text.data[-1] == '-') {
            fprintf(stderr, "redis_load: %.*s\n", (int)answer.text.len, (const char *)answer.text.data);
            return false;
        }
    }
    load->n_calls += n_calls;
    return true;
}

static bool is_over(const struct load *load, int64_t ends_at_us) {
    return load->options->is_fill ? load->next_key >= (uint64_t)load->options->n_keys
                                  : clock_mono_us() >= ends_at_us;
}

static bool run_closed(struct load *load, int64_t ends_at_us) {
    int64_t n_links = load->options->n_connections;
    size_t pipeline = (size_t)load->options->pipeline;
    for (int64_t i = 0; i < n_links; i++) {
        if (!send_calls(load, &load->links[i], pipeline)) {
            return false;
        }
    }
    while (!is_over(load, ends_at_us)) {
        for (int64_t i = 0; i < n_links; i++) {
            if (!read_answers(load, &load->links[i], pipeline) ||
                !send_calls(load, &load->links[i], pipeline)) {
                return false;
            }
        }
    }
    for (int64_t i = 0; i < n_links; i++) {
        if (!read_answers(load, &load->links[i], pipeline)) {
            return false;
        }
    }
    return true;
}

/* The same, from whichever connection has answers, and without sleeping. */
static bool run_spinning(struct load *load, int64_t ends_at_us) {
    int64_t n_links = load->options->n_connections;
    size_t pipeline = (size_t)load->options->pipeline, n_open = 0;
    struct pollfd fds[CONNECTIONS_MAX];
    for (int64_t i = 0; i < n_links; i++, n_open++) {
        fds[i] = (struct pollfd){.fd = load->links[i].fd, .events = POLLIN};
        if (!send_calls(load, &load->links[i], pipeline)) {
            return false;
        }
    }
    while (n_open > 0) {
        bool is_last = is_over(load, ends_at_us);
        if (poll(fds, (nfds_t)n_links, 0) < 0 && errno != EINTR) {
            return false;
        }
        for (int64_t i = 0; i < n_links; i++) {
            if (fds[i].fd < 0 || fds[i].revents == 0) {
                continue;
            }
            if (!read_answers(load, &load->links[i], pipeline) ||
                (!is_last && !send_calls(load, &load->links[i], pipeline))) {
                return false;
            }
            fds[i].fd = is_last ? -1 : fds[i].fd; /* it is passed over from now on */
            n_open -= is_last;
        }
    }
    return true;
}

/* Waits until the call that is due at `at_us` may be sent, or an answer has come. */
static bool wait_until(int timer_fd, int fd, int64_t at_us, bool *has_answer) {
    struct itimerspec when = {.it_value = {.tv_sec = at_us / US_PER_S, .tv_nsec = at_us % US_PER_S * 1000}};
    struct pollfd fds[] = {{.fd = timer_fd, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    if (timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &when, NULL) != 0) {
        return false;
    }
    int n = poll(fds, 2, -1);
    *has_answer = n > 0 && fds[1].revents != 0;
    return n >= 0 || errno == EINTR;
}

static bool run_open(struct load *load, int64_t began_at_us, int64_t ends_at_us, int timer_fd) {
    struct redis_link *link = &load->links[0];
    int64_t step_us = US_PER_S / load->options->rate_per_s;
    int64_t due_us = began_at_us,
            answered_due_us = began_at_us; /* of the next to send, of the next to be answered */
    while (answered_due_us < ends_at_us) {
        bool has_answer;
        if (clock_mono_us() >= due_us && due_us < ends_at_us) {
            if (!send_calls(load, link, 1)) {
                return false;
            }
            due_us += step_us;
            continue;
        }
        if (!wait_until(timer_fd, link->fd, due_us, &has_answer)) {
            return false;
        }
        if (has_answer) {
            if (!read_answers(load, link, 1)) {
                return false;
            }
            histogram_add(&load->latency_us, (uint64_t)(clock_mono_us() - answered_due_us));
            answered_due_us += step_us;
        }
    }
    return true;
}

/* ---- the program ---- */

static bool open_links(struct load *load) {
    struct redis_answer answer;
    for (int64_t i = 0; i < load->options->n_connections; i++) {
        if (!redis_link_open(&load->links[i], (uint16_t)load->options->port)) {
            fprintf(stderr, "redis_load: cannot connect to port %" PRId64 "\n", load->options->port);
            return false;
        }
    }
    return redis_link_call(&load->links[0], &answer, "SCRIPT", "LOAD", script_check.body, (char *)NULL);
}

static bool run_load(struct load *load) {
    int64_t began_at_us = clock_mono_us(), ends_at_us = began_at_us + load->options->duration_us;
    bool ok;
    if (load->options->rate_per_s > 0) {
        int timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
        ok = timer_fd >= 0 && run_open(load, began_at_us, ends_at_us, timer_fd);
        close(timer_fd);
    } else {
        ok = load->options->is_spinning ? run_spinning(load, ends_at_us) : run_closed(load, ends_at_us);
    }
    int64_t took_us = clock_mono_us() - began_at_us;
    if (ok) {
        printf("calls=%" PRIu64 " rate_per_s=%.0f p50_us=%" PRIu64 " p99_us=%" PRIu64 " own_cpu_share=%.2f\n",
               load->n_calls, (double)load->n_calls * 1e6 / (double)took_us,
               histogram_percentile(&load->latency_us, 0.5), histogram_percentile(&load->latency_us, 0.99),
               (double)clock_cpu_us() / (double)took_us);
    }
    return ok;
}

static int run(const void *options, char *const *arguments) {
    struct load *load = calloc(1, sizeof *load);
    if (load == NULL) {
        return EXIT_ERROR;
    }
    load->options = options;
    load->rng = (struct rng){1};
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        load->links[i].fd = -1;
    }
    bool ok = make_template(&load->template, arguments[0], options) && open_links(load) && run_load(load);
    for (int i = 0; i < CONNECTIONS_MAX; i++) {
        redis_link_close(&load->links[i]);
    }
    buf_deinit(&load->template.bytes);
    free(load);
    return ok ? 0 : EXIT_ERROR;
}

static const struct load_options defaults = {
    .n_keys = 1000000, .n_connections = 8, .pipeline = 32, .duration_us = US_PER_S, .burst = 1000};

#define OPTION(member) offsetof(struct load_options, member)
static const struct option_spec options_table[] = {
    {"port", "N", OPTION_COUNT, OPTION(port), 1, UINT16_MAX, "of 127.0.0.1"},
    {"keys", "N", OPTION_COUNT, OPTION(n_keys), 1, INT64_C(1000000000000), "each as likely"},
    {"connections", "N", OPTION_COUNT, OPTION(n_connections), 1, CONNECTIONS_MAX, "to use"},
    {"pipeline", "N", OPTION_COUNT, OPTION(pipeline), 1, PIPELINE_MAX, "calls under way of each connection"},
    {"rate", "N", OPTION_COUNT, OPTION(rate_per_s), 1, 100000, "open loop on one connection: calls a second"},
    {"duration", "DURATION", OPTION_DURATION_US, OPTION(duration_us), 1000, 3600 * US_PER_S, "of the load"},
    {"burst", "N", OPTION_COUNT, OPTION(burst), 1, BUCKET_MAX_TOKENS, "of the quota of a check"},
    {"spin", NULL, OPTION_FLAG, OPTION(is_spinning), 0, 0, "never sleep, so that Redis need not wake this"},
    {"fill", NULL, OPTION_FLAG, OPTION(is_fill), 0, 0, "each key once instead"},
};

static const struct command command = {
    .program = "redis_load",
    .name = "",
    .summary = "Load a Redis",
    .arguments = "get|set|incr|check|throttle",
    .min_arguments = 1,
    .max_arguments = 1,
    .options = options_table,
    .n_options = sizeof options_table / sizeof options_table[0],
    .defaults = &defaults,
    .options_bytes = sizeof defaults,
    .notes = "",
    .run = run,
};

int main(int argc, char **argv) {
    struct load_options options;
    struct status status = {""};
    char *arguments[2];
    bool wants_help;
    if (!options_parse(&command, argc - 1, argv + 1, &options, arguments, &wants_help, &status)) {
        fprintf(stderr, "redis_load: %s\n", status.text);
        return EXIT_ERROR;
    }
    if (wants_help) {
        options_print_help(&command, stdout);
        return 0;
    }
    return run(&options, arguments);
}
