/* follower.c — asks Redis what the feed wants to know; see follower.h.
 *
 *   feed_ask ─ pause ─ send ─ reply, refusal or deadline ─ feed_take or feed_fail ─> feed_ask */
#include "server/follower.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/buf.h"
#include "server/base/clock.h"
#include "server/base/ensure.h"
#include "server/base/list.h"
#include "server/core/slot.h"
#include "server/store/redis_request.h"

enum { FOLLOWER_MAGIC = 0x7ed15c21, MAX_INFLIGHT = 16 };

#define SHORT_OF_MEMORY_PAUSE_US INT64_C(1000000)
#define CONNECTING_PAUSE_US INT64_C(1000)

struct follower {
    uint32_t magic;
    struct ev_loop *loop;
    follower_set_fn on_set;
    void *arg;
    struct redis_metrics redis_metrics; /* not shown: those of the workers tell of the checks */
    struct cluster *cluster;
    struct feed *feed;
    struct feed_question question;
    struct buf request;
    struct cluster_call call;
    bool is_asking;           /* `call` is under way */
    int64_t patient_until_us; /* at the start, connections take a while */
    ev_timer pause;
};

static struct follower *follower_of(void *data) {
    struct follower *follower = data;
    ensure(follower->magic, ==, FOLLOWER_MAGIC);
    return follower;
}

static struct bytes bytes_of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

/* ---- a question's way ---- */

static void start_pause(struct follower *follower, int64_t pause_us) {
    ev_timer_set(&follower->pause, (double)pause_us * 1e-6, 0.);
    ev_timer_start(follower->loop, &follower->pause);
}

static bool write_command(struct follower *follower) {
    const struct feed_question *question = &follower->question;
    size_t n_bytes = REDIS_WORD_EXTRA_BYTES;
    for (uint32_t i = 0; i < question->n_words; i++) {
        n_bytes += question->words[i].len + REDIS_WORD_EXTRA_BYTES;
    }
    uint8_t *out = buf_reserve(&follower->request, n_bytes);
    if (out == NULL) {
        return false;
    }
    uint8_t *end = redis_put_command(out, question->n_words);
    for (uint32_t i = 0; i < question->n_words; i++) {
        end = redis_put_word(end, question->words[i]);
    }
    buf_commit(&follower->request, (size_t)(end - out));
    return true;
}

static bool write_seed(struct follower *follower) {
    const struct bytes keys[] = {bytes_of(LEDGER_KEY_QUOTAS), bytes_of(LEDGER_KEY_CHANGES)};
    struct bytes argument = follower->question.words[0];
    uint8_t *out = buf_reserve(&follower->request, keys[0].len + keys[1].len + argument.len +
                                                       REDIS_TAIL_EXTRA_BYTES + REDIS_WORD_EXTRA_BYTES);
    if (out == NULL) {
        return false;
    }
    buf_commit(&follower->request, redis_put_tail_of_keys(keys, 2, argument, out));
    return true;
}

static void ask(struct follower *follower);

static void follower_on_reply(struct cluster_call *call, enum store_outcome outcome,
                              const struct redis_reply *reply) {
    struct follower *follower = follower_of(list_entry(call, struct follower, call));
    follower->is_asking = false;
    if (outcome != STORE_OK) {
        feed_fail(follower->feed);
    } else if (feed_take(follower->feed, reply, (uintptr_t)call->node, clock_mono_us())) {
        follower->on_set(follower->arg, feed_set(follower->feed));
    }
    ask(follower);
}

static bool send_question(struct follower *follower) {
    const struct feed_question *question = &follower->question;
    buf_consume(&follower->request, buf_len(&follower->request));
    if (!(question->is_seed ? write_seed(follower) : write_command(follower))) {
        return false;
    }
    follower->call = (struct cluster_call){
        .slot = slot_of_key(bytes_of(LEDGER_KEY_QUOTAS)),
        .script = question->is_seed ? 0 : CLUSTER_PLAIN,
        .tail = {buf_front(&follower->request), buf_len(&follower->request)},
        .done = follower_on_reply,
    };
    int64_t now_us = clock_mono_us();
    follower->is_asking =
        cluster_submit(follower->cluster, &follower->call, now_us + question->timeout_us, now_us) == STORE_OK;
    return follower->is_asking;
}

/* Always by the timer, so that nothing of one answer is left on the stack when the next question goes out. */
static void ask(struct follower *follower) {
    feed_ask(follower->feed, &follower->question);
    start_pause(follower,
                follower->question.n_words > 0 ? follower->question.wait_us : SHORT_OF_MEMORY_PAUSE_US);
}

static void follower_on_pause_end(struct ev_loop *loop, ev_timer *watcher, int events) {
    (void)loop;
    (void)events;
    struct follower *follower = follower_of(watcher->data);
    if (follower->question.n_words > 0 && send_question(follower)) {
        follower->patient_until_us = 0;
    } else if (clock_mono_us() < follower->patient_until_us) {
        start_pause(follower, CONNECTING_PAUSE_US);
    } else {
        feed_fail(follower->feed);
        ask(follower);
    }
}

const struct feed *follower_feed(const struct follower *follower) {
    return follower->feed;
}

/* ---- lifecycle ---- */

struct follower *follower_create(struct ev_loop *loop, const struct follower_options *options,
                                 struct status *status) {
    static const struct script *const scripts[] = {&script_quota_put};
    struct follower *follower = calloc(1, sizeof *follower);
    if (follower == NULL) {
        status_fail(status, "out of memory");
        return NULL;
    }
    follower->magic = FOLLOWER_MAGIC;
    follower->loop = loop;
    follower->on_set = options->on_set;
    follower->arg = options->arg;
    ev_timer_init(&follower->pause, follower_on_pause_end, 0., 0.);
    follower->pause.data = follower;
    follower->feed = feed_create(&options->feed);
    if (follower->feed == NULL) {
        status_fail(status, "out of memory");
        follower_destroy(&follower);
        return NULL;
    }
    struct cluster_options cluster_options = options->cluster;
    cluster_options.scripts = scripts;
    cluster_options.n_scripts = sizeof scripts / sizeof scripts[0];
    cluster_options.max_inflight_per_node = MAX_INFLIGHT;
    follower->cluster = cluster_create(loop, &cluster_options, &follower->redis_metrics, status);
    if (follower->cluster == NULL) {
        follower_destroy(&follower);
        return NULL;
    }
    follower->patient_until_us = clock_mono_us() + options->cluster.connect_timeout_us;
    ask(follower);
    return follower;
}

void follower_destroy(struct follower **handle) {
    struct follower *follower = *handle;
    *handle = NULL;
    if (follower == NULL) {
        return;
    }
    ev_timer_stop(follower->loop, &follower->pause);
    if (follower->is_asking) {
        cluster_abandon(&follower->call);
    }
    cluster_destroy(&follower->cluster);
    feed_destroy(&follower->feed);
    buf_deinit(&follower->request);
    follower->magic = 0;
    free(follower);
}
