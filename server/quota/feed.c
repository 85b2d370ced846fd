/* feed.c — follows the quotas in Redis; see feed.h for the states. */
#include "server/quota/feed.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/hash.h"
#include "server/base/log.h"
#include "server/quota/draft.h"
#include "server/quota/seed.h"

/* The entry that was read last; of part and revision 0: none was there. */
struct position {
    uint64_t revision, part;
    uint64_t fingerprint;
};

struct feed {
    enum feed_state state;
    struct feed_options options;
    struct quota_set *set; /* in force */
    uint64_t unknown_revision;
    struct position position; /* what `set` holds, or the draft that is being read anew */
    struct position ahead;    /* what the draft holds that CHECK is about */
    struct draft draft;
    struct seed seed;
    struct buf argument; /* of a seed's part */
    bool is_last_part;
    bool is_synced, has_seeded;
    char cursor[FEED_ID_BYTES]; /* of the scan; "0" at its beginning */
    char id[FEED_ID_BYTES];
    char after[FEED_ID_BYTES];
    uintptr_t node; /* that answers the scan */
    int64_t wait_us;
    uint32_t n_failures; /* in a row */
    uint64_t stuck_revision;
    int64_t stuck_since_us; /* 0: no seed of another was seen */
    unsigned short jitter[3];
};

static struct bytes bytes_of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

/* ---- lifecycle ---- */

static void show_source(struct feed *feed) {
    struct feed_metrics *metrics = feed->options.metrics;
    bool is_of_store = feed->is_synced && quota_set_revision(feed->set) > 0;
    metric_set(&metrics->from_store, is_of_store);
    metric_set(&metrics->from_snapshot, !is_of_store && feed->options.is_snapshot);
    metric_set(&metrics->from_file, !is_of_store && !feed->options.is_snapshot);
}

struct feed *feed_create(const struct feed_options *options) {
    struct feed *feed = calloc(1, sizeof *feed);
    if (feed == NULL) {
        return NULL;
    }
    feed->options = *options;
    feed->set = quota_set_hold(options->set);
    if (options->seed != NULL) {
        quota_set_hold(options->seed);
    }
    memcpy(feed->jitter, &options->jitter_seed, sizeof feed->jitter);
    show_source(feed);
    return feed;
}

void feed_destroy(struct feed **handle) {
    struct feed *feed = *handle;
    *handle = NULL;
    if (feed != NULL) {
        draft_deinit(&feed->draft);
        buf_deinit(&feed->argument);
        quota_set_release(&feed->set);
        quota_set_release(&feed->options.seed);
        free(feed);
    }
}

struct quota_set *feed_set(const struct feed *feed) {
    return feed->set;
}

bool feed_is_synced(const struct feed *feed) {
    return feed->is_synced;
}

/* ---- states ---- */

static bool has_position(const struct position *position) {
    return position->revision > 0 || position->part > 0;
}

/* The only place where `state` changes. */
static void change_state(struct feed *feed, enum feed_state state, int64_t wait_us) {
    feed->state = state;
    feed->wait_us = wait_us;
    switch (state) {
    case FEED_SCAN:
        snprintf(feed->cursor, sizeof feed->cursor, "0");
        feed->node = 0;
        return;
    case FEED_LOOK:
    case FEED_FOLLOW:
    case FEED_SEED:
        draft_deinit(&feed->draft);
        return;
    case FEED_CATCH_UP:
    case FEED_CHECK:
        return;
    }
}

static int64_t backoff_us(struct feed *feed) {
    int64_t most_us = FEED_BACKOFF_MIN_US;
    for (uint32_t i = 1; i < feed->n_failures && most_us < FEED_BACKOFF_MAX_US; i++) {
        most_us *= 2;
    }
    most_us = most_us < FEED_BACKOFF_MAX_US ? most_us : FEED_BACKOFF_MAX_US;
    return most_us / 2 + (int64_t)(erand48(feed->jitter) * (double)most_us);
}

void feed_fail(struct feed *feed) {
    feed->n_failures++;
    switch (feed->state) {
    case FEED_LOOK:
    case FEED_SCAN:
    case FEED_CATCH_UP:
    case FEED_SEED:
        change_state(feed, FEED_LOOK, backoff_us(feed));
        return;
    case FEED_FOLLOW:
    case FEED_CHECK: /* another node may answer from now on: what was read last is looked for first */
        draft_deinit(&feed->draft);
        change_state(feed, has_position(&feed->position) ? FEED_CHECK : FEED_FOLLOW, backoff_us(feed));
        return;
    }
}

/* Where the draft has come to is in force from now on. */
static void publish(struct feed *feed, const struct position *position) {
    quota_set_release(&feed->set);
    feed->set = feed->draft.set;
    feed->draft.set = NULL;
    feed->unknown_revision = feed->draft.unknown_revision;
    feed->position = *position;
    feed->is_synced = true;
    show_source(feed);
    change_state(feed, FEED_FOLLOW, 0);
}

/* ---- entries of the stream ---- */

static uint64_t fingerprint_of(const struct ledger_entry *entry) {
    const struct bytes texts[] = {entry->what,     entry->who,   entry->from, entry->tenant,
                                  entry->resource, entry->key,   entry->old,  entry->new,
                                  entry->detail,   entry->scope, entry->limit};
    uint64_t hash = hash_bytes(&entry->at_ms, sizeof entry->at_ms, entry->revision ^ entry->part);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        hash = hash_bytes(texts[i].len > 0 ? (const void *)texts[i].data : "", texts[i].len, hash);
    }
    return hash;
}

static struct position position_of(const struct ledger_entry *entry) {
    return (struct position){entry->revision, entry->part, fingerprint_of(entry)};
}

static void take_entry(struct feed *feed, const struct ledger_entry *entry) {
    if (entry->part == 0) {
        metric_inc(&feed->options.metrics->changes);
        if (!draft_take_change(&feed->draft, entry)) {
            metric_inc(&feed->options.metrics->unreadable);
        }
        quota_set_set_revision(feed->draft.set, entry->revision);
    } else if (ledger_is(entry->what, "reset") && feed->options.on_reset != NULL) {
        feed->options.on_reset(feed->options.arg, entry);
    }
}

/* Puts the entries into the draft and has `position` follow. False when there is one that is none. */
static bool take_entries(struct feed *feed, const struct redis_reply *entries, struct position *position) {
    const struct redis_reply *node = redis_reply_child(entries, 0);
    for (uint32_t i = 0; i < entries->n_children; i++) {
        struct ledger_entry entry;
        if (!ledger_read_entry(node, &entry)) {
            return false;
        }
        take_entry(feed, &entry);
        *position = position_of(&entry);
        node = i + 1 < entries->n_children ? redis_reply_next(node) : node;
    }
    return !feed->draft.is_short;
}

/* What XREAD gives of its one stream; NULL when it is something else. */
static const struct redis_reply *entries_of(const struct redis_reply *reply) {
    const struct redis_reply *stream = redis_reply_child(reply, 0);
    const struct redis_reply *entries = stream != NULL ? redis_reply_child(stream, 1) : NULL;
    return entries != NULL && entries->kind == REDIS_KIND_ARRAY ? entries : NULL;
}

/* ---- answers, by state; these return whether a new set is in force ---- */

static bool fail(struct feed *feed) {
    feed_fail(feed);
    return false;
}

/* The last entry, if there is any. */
static void take_look(struct feed *feed, const struct redis_reply *reply) {
    struct ledger_entry entry;
    struct position position = {0};
    if (reply->kind != REDIS_KIND_ARRAY) {
        feed_fail(feed);
        return;
    }
    if (reply->n_children > 0) {
        if (!ledger_read_entry(redis_reply_first(reply), &entry)) {
            feed_fail(feed);
            return;
        }
        position = position_of(&entry);
    }
    if (!draft_begin(&feed->draft, feed->set, 0)) {
        feed_fail(feed);
        return;
    }
    feed->ahead = position;
    change_state(feed, FEED_SCAN, 0);
}

static void start_seed(struct feed *feed, bool goes_on) {
    bool is_of_store = quota_set_revision(feed->set) > 0;
    feed->seed = (struct seed){
        .set = is_of_store ? feed->set : feed->options.seed, .from = feed->options.from, .goes_on = goes_on};
    log_write(LOG_INFO, "quota", "%s: it gets %s",
              goes_on ? "another's seed of the store is stuck" : "the store has no quotas",
              is_of_store              ? "those in force here"
              : feed->seed.set != NULL ? "those of the file"
                                       : "none");
    feed->has_seeded = true;
    feed->stuck_since_us = 0;
    change_state(feed, FEED_SEED, 0);
}

/* Another frontend is seeding, or was. */
static void await_seed(struct feed *feed, int64_t now_us) {
    if (feed->stuck_since_us == 0 || feed->stuck_revision != feed->ahead.revision) {
        feed->stuck_since_us = now_us;
        feed->stuck_revision = feed->ahead.revision;
    }
    if (now_us - feed->stuck_since_us >= FEED_SEED_STUCK_US) {
        start_seed(feed, true);
    } else {
        change_state(feed, FEED_LOOK, FEED_SEED_LOOK_US);
    }
}

/* Nothing was ever stored: what is in force stays so, and with nothing to seed the first entry is waited for. */
static void take_blank(struct feed *feed) {
    if (feed->options.seed != NULL || quota_set_revision(feed->set) > 0) {
        start_seed(feed, false);
        return;
    }
    feed->position = feed->ahead;
    feed->is_synced = true;
    show_source(feed);
    change_state(feed, FEED_FOLLOW, 0);
}

static void end_scan(struct feed *feed) {
    if (feed->draft.n_read == 0 && feed->ahead.revision == 0) {
        take_blank(feed);
        return;
    }
    draft_end_scan(&feed->draft);
    metric_add(&feed->options.metrics->unreadable, feed->draft.n_unreadable);
    uint64_t revision = feed->ahead.revision > 0 ? feed->ahead.revision : feed->draft.highest_revision;
    quota_set_set_revision(feed->draft.set, revision);
    change_state(feed, FEED_CATCH_UP, 0);
    if (feed->draft.is_short) {
        feed_fail(feed);
    }
}

static void take_page(struct feed *feed, const struct redis_reply *reply, uintptr_t node, int64_t now_us) {
    const struct redis_reply *cursor = redis_reply_child(reply, 0), *fields = redis_reply_child(reply, 1);
    bool is_page = fields != NULL && cursor->kind == REDIS_KIND_STRING && cursor->text.len > 0 &&
                   cursor->text.len < sizeof feed->cursor && fields->kind == REDIS_KIND_ARRAY &&
                   fields->n_children % 2 == 0;
    bool is_same_node = feed->node == 0 || feed->node == node; /* a cursor is worth nothing elsewhere */
    if (!is_page || !is_same_node) {
        feed_fail(feed);
        return;
    }
    feed->node = node;
    snprintf(feed->cursor, sizeof feed->cursor, "%.*s", (int)cursor->text.len, (const char *)cursor->text.data);
    const struct redis_reply *field = fields->n_children > 0 ? redis_reply_first(fields) : NULL;
    for (uint32_t i = 0; i < fields->n_children; i += 2) {
        const struct redis_reply *value = redis_reply_next(field);
        draft_take_field(&feed->draft, field->text, value->text);
        field = i + 2 < fields->n_children ? redis_reply_next(value) : NULL;
    }
    if (feed->draft.is_short) {
        feed_fail(feed);
    } else if (feed->draft.is_seeding) {
        await_seed(feed, now_us);
    } else if (strcmp(feed->cursor, "0") == 0) {
        end_scan(feed);
    }
}

/* What has changed since LOOK, until nothing more is there. */
static bool take_catch_up(struct feed *feed, const struct redis_reply *reply) {
    uint32_t n_entries = 0;
    if (reply->kind != REDIS_KIND_NIL) {
        const struct redis_reply *entries = entries_of(reply);
        if (entries == NULL || !take_entries(feed, entries, &feed->ahead)) {
            return fail(feed);
        }
        n_entries = entries->n_children;
    }
    if (n_entries == FEED_READ_ENTRIES) {
        return false;
    }
    uint64_t was = quota_set_revision(feed->set);
    metric_inc(&feed->options.metrics->resyncs);
    if (feed->options.seed != NULL && !feed->is_synced && !feed->has_seeded) {
        log_write(LOG_INFO, "quota", "Redis has quotas: those of the file are not looked at");
    }
    publish(feed, &feed->ahead);
    log_write(LOG_INFO, "quota",
              "quotas read from Redis: %" PRIu32 ", revision %" PRIu64 " (before: %" PRIu64 ")",
              quota_set_count(feed->set), quota_set_revision(feed->set), was);
    return true;
}

/* The entries wait in the draft until CHECK. */
static void take_follow(struct feed *feed, const struct redis_reply *reply) {
    feed->ahead = feed->position;
    if (reply->kind == REDIS_KIND_NIL) {
        change_state(feed, has_position(&feed->position) ? FEED_CHECK : FEED_FOLLOW, 0);
        return;
    }
    const struct redis_reply *entries = entries_of(reply);
    if (!has_position(&feed->position)) {
        change_state(feed, FEED_LOOK, 0);
        return;
    }
    if (entries == NULL || !draft_begin(&feed->draft, feed->set, feed->unknown_revision) ||
        !take_entries(feed, entries, &feed->ahead)) {
        feed_fail(feed);
        return;
    }
    change_state(feed, FEED_CHECK, 0);
}

static bool take_check(struct feed *feed, const struct redis_reply *reply) {
    struct ledger_entry entry;
    if (reply->kind != REDIS_KIND_ARRAY) {
        return fail(feed);
    }
    if (reply->n_children != 1 || !ledger_read_entry(redis_reply_first(reply), &entry) ||
        fingerprint_of(&entry) != feed->position.fingerprint) {
        log_write(LOG_WARN, "quota",
                  "the change of revision %" PRIu64 " is not in Redis any more: all quotas are read anew",
                  feed->position.revision);
        change_state(feed, FEED_LOOK, 0);
        return false;
    }
    if (feed->draft.set == NULL) {
        change_state(feed, FEED_FOLLOW, 0);
        return false;
    }
    publish(feed, &feed->ahead);
    return true;
}

static void take_seed(struct feed *feed, const struct redis_reply *reply) {
    if (reply->kind != REDIS_KIND_INTEGER) {
        log_write(LOG_INFO, "quota", "another frontend has seeded the store");
        change_state(feed, FEED_LOOK, 0);
    } else if (feed->is_last_part) {
        change_state(feed, FEED_LOOK, 0);
    }
}

bool feed_take(struct feed *feed, const struct redis_reply *reply, uintptr_t node, int64_t now_us) {
    uint32_t n_failures = feed->n_failures;
    bool is_new = false;
    feed->wait_us = 0;
    switch (feed->state) {
    case FEED_LOOK:
        take_look(feed, reply);
        break;
    case FEED_SCAN:
        take_page(feed, reply, node, now_us);
        break;
    case FEED_CATCH_UP:
        is_new = take_catch_up(feed, reply);
        break;
    case FEED_FOLLOW:
        take_follow(feed, reply);
        break;
    case FEED_CHECK:
        is_new = take_check(feed, reply);
        break;
    case FEED_SEED:
        take_seed(feed, reply);
        break;
    }
    if (feed->n_failures == n_failures) {
        feed->n_failures = 0;
    }
    return is_new;
}

/* ---- questions ---- */

#define ASK(question, ...)                                                                                     \
    set_words(question, (const char *const[]){__VA_ARGS__},                                                    \
              sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void set_words(struct feed_question *question, const char *const words[], uint32_t n_words) {
    question->n_words = n_words;
    for (uint32_t i = 0; i < n_words; i++) {
        question->words[i] = bytes_of(words[i]);
    }
}

static const char *write_id(char id[FEED_ID_BYTES], const struct position *position) {
    snprintf(id, FEED_ID_BYTES, "%" PRIu64 "-%" PRIu64, position->revision, position->part);
    return id;
}

static void ask_seed(struct feed *feed, struct feed_question *question) {
    buf_consume(&feed->argument, buf_len(&feed->argument));
    question->is_seed = true;
    if (seed_write_part(&feed->seed, &feed->argument, &feed->is_last_part)) {
        question->words[0] = (struct bytes){buf_front(&feed->argument), buf_len(&feed->argument)};
        question->n_words = 1;
    }
}

static const char page_fields[] = "2000", read_entries[] = "500", block_ms[] = "2000";

void feed_ask(struct feed *feed, struct feed_question *question) {
    *question = (struct feed_question){.wait_us = feed->wait_us, .timeout_us = FEED_TIMEOUT_US};
    switch (feed->state) {
    case FEED_LOOK:
        ASK(question, "XREVRANGE", LEDGER_KEY_CHANGES, "+", "-", "COUNT", "1");
        return;
    case FEED_SCAN:
        ASK(question, "HSCAN", LEDGER_KEY_QUOTAS, feed->cursor, "COUNT", page_fields);
        return;
    case FEED_CATCH_UP:
        write_id(feed->after, &feed->ahead);
        ASK(question, "XREAD", "COUNT", read_entries, "STREAMS", LEDGER_KEY_CHANGES, feed->after);
        return;
    case FEED_FOLLOW:
        write_id(feed->after, &feed->position);
        question->timeout_us += FEED_BLOCK_MS * 1000;
        ASK(question, "XREAD", "COUNT", read_entries, "BLOCK", block_ms, "STREAMS", LEDGER_KEY_CHANGES,
            feed->after);
        return;
    case FEED_CHECK:
        write_id(feed->id, &feed->position);
        ASK(question, "XRANGE", LEDGER_KEY_CHANGES, feed->id, feed->id);
        return;
    case FEED_SEED:
        ask_seed(feed, question);
        return;
    }
}
