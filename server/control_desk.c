/* control_desk.c — carries out what operators ask for: each call is one question to Redis, or two; see control.h. */
#include "server/control_desk.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/buf.h"
#include "server/base/clock.h"
#include "server/base/ensure.h"
#include "server/base/log.h"
#include "server/core/slot.h"
#include "server/quota/fleet.h"
#include "server/quota/ledger.h"
#include "server/quota/quota_form.h"
#include "server/quota/quota_json.h"
#include "server/store/redis_request.h"
#include "server/store/script.h"
#include "server/store/store_key.h"

#define CALL_TIMEOUT_US INT64_C(1000000)

enum { CALL_MAGIC = 0x7ed15c22, ID_BYTES = 48, INDEX_MAX_DIGITS = 4 };

struct control_call;
/* `reply` is NULL unless the outcome is STORE_OK. Frees the call, or sends it anew. */
typedef void (*call_reply_fn)(struct control_call *call, enum store_outcome outcome,
                              const struct redis_reply *reply);

struct control_call {
    uint32_t magic;
    struct control_desk *desk;
    struct list in_calls;
    struct cluster_call call;
    call_reply_fn on_reply;
    union {
        control_change_fn change;
        control_changes_fn changes;
        control_bucket_fn bucket;
        control_frontends_fn frontends;
    } done;
    void *arg;
    struct buf request;
    bool is_latest; /* of the audit: the entries come in reverse */
    /* of buckets */
    struct quota_set *set; /* held, for the quota */
    const struct quota *quota;
    struct control_bucket bucket; /* its texts are in `names` */
    uint8_t names[QUOTA_TENANT_MAX_BYTES + QUOTA_RESOURCE_MAX_BYTES + QUOTA_KEY_MAX_BYTES];
    uint32_t part;   /* of the quota, that is looked at */
    int64_t unix_us; /* for its windows */
    bool is_told;    /* what time it is there, and asked once more */
    int64_t deadline_us;
    struct control_bucket_result levels;
    uint8_t key[STORE_KEY_MAX_BYTES];
    size_t key_len;
};

static struct bytes bytes_of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static struct bytes bytes_of_buf(const struct buf *buf) {
    return (struct bytes){.data = buf_front(buf), .len = buf_len(buf)};
}

/* ---- a call's life ---- */

static struct control_call *call_create(struct control *control, void *arg, call_reply_fn on_reply) {
    struct control_call *call = calloc(1, sizeof *call);
    if (call != NULL) {
        call->magic = CALL_MAGIC;
        call->desk = control_desk(control);
        call->arg = arg;
        call->on_reply = on_reply;
        list_init(&call->in_calls);
    }
    return call;
}

static void call_free(struct control_call *call) {
    list_remove(&call->in_calls);
    quota_set_release(&call->set);
    buf_deinit(&call->request);
    call->magic = 0;
    free(call);
}

/* A call that was made or could not be; NULL, with the reason, when `is_made` is false. */
static struct control_call *call_or_fail(struct control_call *call, bool is_made, struct status *status) {
    if (call == NULL || !is_made) {
        status_fail(status, "out of memory");
        if (call != NULL) {
            call_free(call);
        }
        return NULL;
    }
    return call;
}

void control_abandon(struct control_call **handle) {
    struct control_call *call = *handle;
    *handle = NULL;
    if (call != NULL) {
        ensure(call->magic, ==, CALL_MAGIC);
        cluster_abandon(&call->call);
        call_free(call);
    }
}

void control_desk_clear(struct control_desk *desk) {
    while (!list_is_empty(&desk->calls)) {
        struct control_call *call = list_entry(desk->calls.next, struct control_call, in_calls);
        control_abandon(&call);
    }
}

static const char *reason_of(enum store_outcome outcome) {
    switch (outcome) {
    case STORE_OK:
        return "";
    case STORE_TIMEOUT:
        return "Redis has not answered in time";
    case STORE_DOWN:
        return "the Redis node that has it cannot be reached";
    case STORE_OVERLOADED:
        return "too much is under way at the Redis node that has it";
    case STORE_LOST:
        return "the connection to Redis was lost before its answer";
    case STORE_REFUSED:
        return "Redis has refused: it is full, not a master, or does not permit it; the log has the reason";
    case STORE_REDIRECTED:
        return "Redis has redirected too often: its slots are on the move";
    case STORE_BAD_REPLY:
        return "the answer of Redis makes no sense";
    case STORE_NO_MEMORY:
        return "out of memory";
    case STORE_FULL:
        return "there is no room left to remember it";
    }
    return "";
}

static void call_on_reply(struct cluster_call *cluster_call, enum store_outcome outcome,
                          const struct redis_reply *reply) {
    struct control_call *call = list_entry(cluster_call, struct control_call, call);
    ensure(call->magic, ==, CALL_MAGIC);
    call->on_reply(call, outcome, reply);
}

static enum store_outcome call_send(struct control_call *call, struct bytes key, uint16_t script) {
    call->call = (struct cluster_call){.slot = slot_of_key(key),
                                       .script = script,
                                       .tail = bytes_of_buf(&call->request),
                                       .done = call_on_reply};
    return cluster_submit(call->desk->cluster, &call->call, call->deadline_us, clock_mono_us());
}

/* The first sending of a call. NULL, with the call freed, when it did not go. */
static struct control_call *call_start(struct control_call *call, struct bytes key, uint16_t script,
                                       struct status *status) {
    list_push_back(&call->desk->calls, &call->in_calls);
    call->deadline_us = clock_mono_us() + CALL_TIMEOUT_US;
    enum store_outcome outcome = call_send(call, key, script);
    if (outcome != STORE_OK) {
        status_fail(status, "%s", reason_of(outcome));
        call_free(call);
        return NULL;
    }
    return call;
}

static bool write_tail(struct control_call *call, const char *key, const char *other_key,
                       struct bytes argument) {
    const struct bytes keys[] = {bytes_of(key), bytes_of(other_key)};
    uint8_t *out = buf_reserve(&call->request, keys[0].len + keys[1].len + argument.len +
                                                   REDIS_TAIL_EXTRA_BYTES + REDIS_WORD_EXTRA_BYTES);
    if (out == NULL) {
        return false;
    }
    buf_commit(&call->request, redis_put_tail_of_keys(keys, 2, argument, out));
    return true;
}

/* ---- changes ---- */

/* "INDEX VALUE", as lua/quota_put.lua says what conflicts. */
static bool read_conflict(struct bytes text, struct control_change_result *result) {
    size_t n_digits = 0;
    result->index = 0;
    while (n_digits < text.len && n_digits < INDEX_MAX_DIGITS && text.data[n_digits] >= '0' &&
           text.data[n_digits] <= '9') {
        result->index = result->index * 10 + (uint32_t)(text.data[n_digits++] - '0');
    }
    if (n_digits == 0 || n_digits == text.len || text.data[n_digits] != ' ' ||
        result->index >= CONTROL_MAX_CHANGES) {
        return false;
    }
    struct bytes value = {text.data + n_digits + 1, text.len - n_digits - 1};
    if (!ledger_read_value(value, &result->revision, &result->current)) {
        result->current = value; /* nothing; or something damaged, shown as it is */
    }
    result->outcome = CONTROL_CONFLICT;
    return true;
}

static void change_on_reply(struct control_call *call, enum store_outcome outcome,
                            const struct redis_reply *reply) {
    struct control_change_result result = {.outcome = CONTROL_UNAVAILABLE};
    if (outcome == STORE_OK && reply->kind == REDIS_KIND_INTEGER) {
        result.outcome = CONTROL_OK;
        result.revision = (uint64_t)reply->integer;
    } else if (outcome == STORE_OK && reply->kind == REDIS_KIND_STRING && ledger_is(reply->text, "behind")) {
        result.reason = "Redis has lost changes that are in force here, and is being put right: try again";
    } else if (outcome != STORE_OK || reply->kind != REDIS_KIND_STRING ||
               !read_conflict(reply->text, &result)) {
        outcome = outcome == STORE_OK ? STORE_BAD_REPLY : outcome;
        result = (struct control_change_result){.outcome = CONTROL_UNAVAILABLE,
                                                .reason = reason_of(outcome),
                                                .may_be_made = store_outcome_may_have_charged(outcome)};
    }
    call->done.change(call->arg, &result);
    call_free(call);
}

static bool add_change(const struct control_change *change, struct buf *json, struct buf *out) {
    buf_consume(json, buf_len(json));
    switch (change->kind) {
    case CONTROL_PUT:
        return quota_json_write(change->rules, json) &&
               ledger_add_put(change->tenant, change->resource, bytes_of_buf(json), change->if_revision, out);
    case CONTROL_DELETE:
        return ledger_add_put(change->tenant, change->resource, bytes_of(""), change->if_revision, out);
    case CONTROL_DEFAULT:
        return ledger_add_put(bytes_of(""), bytes_of(LEDGER_DEFAULT),
                              bytes_of(change->unknown == QUOTA_UNKNOWN_DENY ? "deny" : "allow"),
                              change->if_revision, out);
    }
    return false;
}

static bool write_changes(struct control_call *call, const struct control_change *changes, uint32_t n_changes,
                          struct control_asker asker) {
    struct buf argument = {0}, json = {0};
    struct ledger_put put = {.kind = LEDGER_PUT_CHANGES,
                             .above = quota_set_revision(call->desk->set),
                             .who = asker.who,
                             .from = asker.from};
    bool is_written = ledger_begin_put(&put, &argument);
    for (uint32_t i = 0; i < n_changes && is_written; i++) {
        is_written = add_change(&changes[i], &json, &argument);
    }
    is_written = is_written && write_tail(call, LEDGER_KEY_QUOTAS, LEDGER_KEY_CHANGES, bytes_of_buf(&argument));
    buf_deinit(&argument);
    buf_deinit(&json);
    return is_written;
}

struct control_call *control_change(struct control *control, const struct control_change *changes,
                                    uint32_t n_changes, struct control_asker asker, control_change_fn done,
                                    void *arg, struct status *status) {
    ensure(n_changes, >=, 1);
    ensure(n_changes, <=, CONTROL_MAX_CHANGES);
    struct control_call *call = call_create(control, arg, change_on_reply);
    call = call_or_fail(call, call != NULL && write_changes(call, changes, n_changes, asker), status);
    if (call == NULL) {
        return NULL;
    }
    call->done.change = done;
    return call_start(call, bytes_of(LEDGER_KEY_QUOTAS), CONTROL_SCRIPT_PUT, status);
}

/* ---- notes ---- */

static bool write_note(struct control_call *call, const struct ledger_entry *note) {
    struct buf argument = {0};
    bool is_written = ledger_write_note(note, &argument) &&
                      write_tail(call, LEDGER_KEY_QUOTAS, LEDGER_KEY_CHANGES, bytes_of_buf(&argument));
    buf_deinit(&argument);
    return is_written;
}

static void log_lost_note(const char *reason) {
    log_write(LOG_WARN, "control", "a refused change could not be noted in the audit: %s", reason);
}

static void refused_on_reply(struct control_call *call, enum store_outcome outcome,
                             const struct redis_reply *reply) {
    (void)reply;
    if (outcome != STORE_OK) {
        log_lost_note(reason_of(outcome));
    }
    call_free(call);
}

void control_refused(struct control *control, struct bytes tenant, struct bytes resource, struct bytes attempt,
                     const char *reason, struct control_asker asker) {
    struct ledger_entry note = {.what = bytes_of("refused"),
                                .who = asker.who,
                                .from = asker.from,
                                .tenant = tenant,
                                .resource = resource,
                                .new = attempt,
                                .detail = bytes_of(reason)};
    struct status status;
    struct control_call *call = call_create(control, NULL, refused_on_reply);
    call = call_or_fail(call, call != NULL && write_note(call, &note), &status);
    if (call == NULL || call_start(call, bytes_of(LEDGER_KEY_QUOTAS), CONTROL_SCRIPT_NOTE, &status) == NULL) {
        log_lost_note(status.text);
    }
}

/* ---- the audit ---- */

static bool read_entries(const struct redis_reply *reply, bool is_reversed, struct ledger_entry *entries) {
    const struct redis_reply *node = redis_reply_child(reply, 0);
    for (uint32_t i = 0; i < reply->n_children; i++) {
        if (!ledger_read_entry(node, &entries[is_reversed ? reply->n_children - 1 - i : i])) {
            return false;
        }
        node = i + 1 < reply->n_children ? redis_reply_next(node) : node;
    }
    return true;
}

static void changes_on_reply(struct control_call *call, enum store_outcome outcome,
                             const struct redis_reply *reply) {
    struct control_changes_result result = {.outcome = CONTROL_UNAVAILABLE};
    struct ledger_entry *entries = NULL;
    if (outcome == STORE_OK) {
        outcome = reply->kind == REDIS_KIND_ARRAY ? STORE_OK : STORE_BAD_REPLY;
        entries = calloc((size_t)reply->n_children + 1, sizeof *entries);
        if (entries == NULL) {
            outcome = STORE_NO_MEMORY;
        } else if (outcome == STORE_OK && !read_entries(reply, call->is_latest, entries)) {
            outcome = STORE_BAD_REPLY;
        }
    }
    result.reason = reason_of(outcome);
    if (outcome == STORE_OK) {
        result = (struct control_changes_result){
            .outcome = CONTROL_OK, .entries = entries, .n_entries = reply->n_children};
    }
    call->done.changes(call->arg, &result);
    free(entries);
    call_free(call);
}

static bool write_range(struct control_call *call, const struct control_range *range) {
    char after[ID_BYTES], limit[ID_BYTES];
    snprintf(after, sizeof after, "(%" PRIu64 "-%" PRIu64, range->after_revision, range->after_part);
    snprintf(limit, sizeof limit, "%" PRIu32, range->limit);
    const char *const newest[] = {"XREVRANGE", LEDGER_KEY_CHANGES, "+", "-", "COUNT", limit};
    const char *const next[] = {"XRANGE", LEDGER_KEY_CHANGES, after, "+", "COUNT", limit};
    return redis_append_command(&call->request, range->is_latest ? newest : next, 6);
}

struct control_call *control_changes(struct control *control, const struct control_range *range,
                                     control_changes_fn done, void *arg, struct status *status) {
    ensure(range->limit, >=, 1);
    ensure(range->limit, <=, CONTROL_MAX_ENTRIES);
    struct control_call *call = call_create(control, arg, changes_on_reply);
    call = call_or_fail(call, call != NULL && write_range(call, range), status);
    if (call == NULL) {
        return NULL;
    }
    call->done.changes = done;
    call->is_latest = range->is_latest;
    return call_start(call, bytes_of(LEDGER_KEY_CHANGES), CLUSTER_PLAIN, status);
}

/* ---- buckets ---- */

static struct script_check peek_of(const struct quota_part *part, int64_t unix_us) {
    return (struct script_check){
        .limits = part->limits, .n_limits = part->n_limits, .cost_tokens = 1, .unix_us = unix_us, .peek = true};
}

static void end_bucket(struct control_call *call, enum store_outcome outcome) {
    call->levels.outcome = outcome == STORE_OK ? CONTROL_OK : CONTROL_UNAVAILABLE;
    call->levels.reason = reason_of(outcome);
    call->done.bucket(call->arg, &call->levels);
    call_free(call);
}

static bool set_key(struct control_call *call, const struct bucket_name *name) {
    call->key_len = store_key_write(name, call->key, sizeof call->key);
    return call->key_len > 0;
}

/* The question for the part that is next. */
static bool write_look(struct control_call *call) {
    uint8_t argument[SCRIPT_CHECK_ARG_MAX_BYTES];
    const struct quota_part *part = &call->quota->parts[call->part];
    const struct control_bucket *bucket = &call->bucket;
    struct bucket_name name =
        quota_part_bucket(call->quota, part, bucket->tenant, bucket->resource, bucket->key);
    struct script_check check = peek_of(part, call->unix_us);
    size_t n = script_check_pack(&check, argument, sizeof argument);
    buf_consume(&call->request, buf_len(&call->request));
    if (n == 0 || !set_key(call, &name)) {
        return false;
    }
    uint8_t *out = buf_reserve(&call->request, call->key_len + n + REDIS_TAIL_EXTRA_BYTES);
    if (out == NULL) {
        return false;
    }
    buf_commit(&call->request,
               redis_put_tail((struct bytes){call->key, call->key_len}, (struct bytes){argument, n}, out));
    return true;
}

static bool read_look(struct control_call *call, const struct redis_reply *reply) {
    const struct quota_part *part = &call->quota->parts[call->part];
    struct script_check check = peek_of(part, call->unix_us);
    struct bucket_verdict verdict;
    struct bucket_record record;
    int64_t utok[BUCKET_MAX_LIMITS];
    if (reply->kind != REDIS_KIND_STRING || !script_check_parse(reply->text, &check, &verdict, &record)) {
        return false;
    }
    bucket_levels(&record, part->limits, part->n_limits, 0, utok);
    for (uint32_t i = 0; i < part->n_limits; i++) {
        struct bucket_record alone = record;
        bucket_check(&alone, &part->limits[i], 1, 1, 0, true, &verdict);
        call->levels.levels_utok[part->first_limit + i] = utok[i];
        call->levels.full_after_us[part->first_limit + i] = verdict.reset_after_us;
    }
    return true;
}

/* Part by part, all within the time of one call. */
static void look_on_reply(struct control_call *call, enum store_outcome outcome,
                          const struct redis_reply *reply) {
    bool is_told = outcome == STORE_OK && !call->is_told && reply->kind == REDIS_KIND_STRING &&
                   script_tells_time(reply->text, &call->unix_us);
    if (outcome == STORE_OK && !is_told && !read_look(call, reply)) {
        outcome = STORE_BAD_REPLY;
    }
    call->is_told = is_told;
    bool is_last = !is_told && ++call->part == call->quota->n_parts;
    if (outcome == STORE_OK && !is_last) {
        outcome = write_look(call)
                      ? call_send(call, (struct bytes){call->key, call->key_len}, CONTROL_SCRIPT_CHECK)
                      : STORE_NO_MEMORY;
    }
    if (outcome != STORE_OK || is_last) {
        end_bucket(call, outcome);
    }
}

static struct bytes keep_name(struct bytes name, uint8_t **room) {
    struct bytes kept = {.data = *room, .len = name.len};
    if (name.len > 0) {
        memcpy(*room, name.data, name.len);
    }
    *room += name.len;
    return kept;
}

struct control_call *control_bucket_look(struct control *control, const struct control_bucket *bucket,
                                         const struct quota *quota, control_bucket_fn done, void *arg,
                                         struct status *status) {
    ensure(quota->n_limits, >=, 1);
    ensure(bucket->tenant.len, <=, QUOTA_TENANT_MAX_BYTES);
    ensure(bucket->resource.len, <=, QUOTA_RESOURCE_MAX_BYTES);
    ensure(bucket->key.len, <=, QUOTA_KEY_MAX_BYTES);
    struct control_call *call = call_create(control, arg, look_on_reply);
    if (call != NULL) {
        uint8_t *room = call->names;
        call->set = quota_set_hold(call->desk->set);
        call->quota = call->levels.quota = quota;
        call->bucket =
            (struct control_bucket){keep_name(bucket->tenant, &room), keep_name(bucket->resource, &room),
                                    keep_name(bucket->key, &room)};
        call->unix_us = clock_wall_us();
        call->done.bucket = done;
    }
    call = call_or_fail(call, call != NULL && write_look(call), status);
    if (call == NULL) {
        return NULL;
    }
    return call_start(call, (struct bytes){call->key, call->key_len}, CONTROL_SCRIPT_CHECK, status);
}

static void delete_on_reply(struct control_call *call, enum store_outcome outcome,
                            const struct redis_reply *reply) {
    (void)reply;
    end_bucket(call, outcome);
}

static bool write_delete(struct control_call *call) {
    static const char word[] = "DEL";
    buf_consume(&call->request, buf_len(&call->request));
    uint8_t *out = buf_reserve(&call->request, call->key_len + sizeof word + 3 * REDIS_WORD_EXTRA_BYTES);
    if (out == NULL) {
        return false;
    }
    uint8_t *end = redis_put_word(redis_put_command(out, 2), bytes_of(word));
    end = redis_put_word(end, (struct bytes){call->key, call->key_len});
    buf_commit(&call->request, (size_t)(end - out));
    return true;
}

/* It is noted, and by that note every frontend forgets what it knows of the bucket; now the bucket itself. */
static void reset_on_reply(struct control_call *call, enum store_outcome outcome,
                           const struct redis_reply *reply) {
    (void)reply;
    if (outcome == STORE_OK) {
        call->on_reply = delete_on_reply;
        call->deadline_us = clock_mono_us() + CALL_TIMEOUT_US;
        outcome = write_delete(call) ? call_send(call, (struct bytes){call->key, call->key_len}, CLUSTER_PLAIN)
                                     : STORE_NO_MEMORY;
    }
    if (outcome != STORE_OK) {
        end_bucket(call, outcome);
    }
}

struct control_call *control_bucket_reset(struct control *control, const struct bucket_name *name,
                                          struct control_asker asker, control_bucket_fn done, void *arg,
                                          struct status *status) {
    struct ledger_entry note = {.what = bytes_of("reset"),
                                .who = asker.who,
                                .from = asker.from,
                                .tenant = name->tenant,
                                .resource = name->resource};
    if (name->scope == BUCKET_PER_KEY) {
        note.key = name->key;
    } else {
        note.scope = bytes_of(quota_form_scope_word(name->scope));
        note.limit = name->key;
    }
    struct control_call *call = call_create(control, arg, reset_on_reply);
    call = call_or_fail(call, call != NULL && set_key(call, name) && write_note(call, &note), status);
    if (call == NULL) {
        return NULL;
    }
    call->done.bucket = done;
    return call_start(call, bytes_of(LEDGER_KEY_QUOTAS), CONTROL_SCRIPT_NOTE, status);
}

/* ---- frontends ---- */

static bool read_frontends(const struct redis_reply *reply, struct control_frontend *frontends) {
    const struct redis_reply *id = redis_reply_child(reply, 0);
    for (uint32_t i = 0; i < reply->n_children / 3; i++) {
        const struct redis_reply *silent = redis_reply_next(id), *about = redis_reply_next(silent);
        if (id->kind != REDIS_KIND_STRING || silent->kind != REDIS_KIND_INTEGER ||
            about->kind != REDIS_KIND_STRING) {
            return false;
        }
        frontends[i] = (struct control_frontend){id->text, about->text, silent->integer};
        id = i + 1 < reply->n_children / 3 ? redis_reply_next(about) : id;
    }
    return true;
}

static void frontends_on_reply(struct control_call *call, enum store_outcome outcome,
                               const struct redis_reply *reply) {
    struct control_frontends_result result = {.outcome = CONTROL_UNAVAILABLE};
    struct control_frontend *frontends = NULL;
    if (outcome == STORE_OK) {
        bool is_list = reply->kind == REDIS_KIND_ARRAY && reply->n_children % 3 == 0;
        frontends = calloc((size_t)reply->n_children / 3 + 1, sizeof *frontends);
        if (frontends == NULL) {
            outcome = STORE_NO_MEMORY;
        } else if (!is_list || !read_frontends(reply, frontends)) {
            outcome = STORE_BAD_REPLY;
        }
    }
    result.reason = reason_of(outcome);
    if (outcome == STORE_OK) {
        result = (struct control_frontends_result){
            .outcome = CONTROL_OK, .frontends = frontends, .n_frontends = reply->n_children / 3};
    }
    call->done.frontends(call->arg, &result);
    free(frontends);
    call_free(call);
}

struct control_call *control_frontends(struct control *control, control_frontends_fn done, void *arg,
                                       struct status *status) {
    struct control_call *call = call_create(control, arg, frontends_on_reply);
    call = call_or_fail(call, call != NULL && write_tail(call, FLEET_KEY_SEEN, FLEET_KEY_TOLD, bytes_of("")),
                        status);
    if (call == NULL) {
        return NULL;
    }
    call->done.frontends = done;
    return call_start(call, bytes_of(FLEET_KEY_SEEN), CONTROL_SCRIPT_FLEET, status);
}
