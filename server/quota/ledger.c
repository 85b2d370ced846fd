/* ledger.c — how the quotas and the changes to them are written in Redis; see ledger.h. */
#include "server/quota/ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { NUMBER_MAX_DIGITS = 19, TEXT_HEAD_BYTES = 4 };
enum { PUT_IS_SEED = 1, PUT_IS_FOLLOWED = 2, PUT_GOES_ON = 4 };

bool ledger_is(struct bytes text, const char *word) {
    return text.len == strlen(word) && (text.len == 0 || memcmp(text.data, word, text.len) == 0);
}

/* ---- what is read ---- */

/* Digits alone, at most 19 of them. */
static bool read_number(struct bytes text, uint64_t *number) {
    *number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        *number = *number * 10 + (uint64_t)(text.data[i] - '0');
    }
    return text.len > 0 && text.len <= NUMBER_MAX_DIGITS;
}

/* What stands before and behind the first `mark`. */
static bool split(struct bytes text, char mark, struct bytes *before, struct bytes *behind) {
    const uint8_t *at = text.len > 0 ? memchr(text.data, mark, text.len) : NULL;
    if (at == NULL) {
        return false;
    }
    *before = (struct bytes){text.data, (size_t)(at - text.data)};
    *behind = (struct bytes){at + 1, text.len - before->len - 1};
    return true;
}

bool ledger_read_field(struct bytes field, struct bytes *tenant, struct bytes *resource) {
    return split(field, '\n', tenant, resource);
}

bool ledger_read_value(struct bytes value, uint64_t *revision, struct bytes *text) {
    struct bytes number;
    return split(value, ' ', &number, text) && read_number(number, revision) && *revision > 0;
}

static bool take_field(struct bytes name, struct bytes value, struct ledger_entry *entry) {
    const struct {
        const char *name;
        struct bytes *text;
    } texts[] = {
        {"what", &entry->what},     {"who", &entry->who},           {"from", &entry->from},
        {"tenant", &entry->tenant}, {"resource", &entry->resource}, {"key", &entry->key},
        {"scope", &entry->scope},   {"limit", &entry->limit},       {"old", &entry->old},
        {"new", &entry->new},       {"detail", &entry->detail},
    };
    uint64_t number;
    if (ledger_is(name, "at_ms")) {
        bool is_number = read_number(value, &number) && number <= INT64_MAX;
        entry->at_ms = is_number ? (int64_t)number : 0;
        return is_number;
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (ledger_is(name, texts[i].name)) {
            *texts[i].text = value;
        }
    }
    return true;
}

bool ledger_read_entry(const struct redis_reply *reply, struct ledger_entry *entry) {
    *entry = (struct ledger_entry){0};
    const struct redis_reply *id = redis_reply_child(reply, 0), *fields = redis_reply_child(reply, 1);
    struct bytes revision, part;
    if (fields == NULL || fields->kind != REDIS_KIND_ARRAY || fields->n_children % 2 != 0 ||
        id->kind != REDIS_KIND_STRING || !split(id->text, '-', &revision, &part) ||
        !read_number(revision, &entry->revision) || !read_number(part, &entry->part)) {
        return false;
    }
    const struct redis_reply *node = redis_reply_first(fields);
    for (uint32_t i = 0; i < fields->n_children; i += 2) {
        const struct redis_reply *value = redis_reply_next(node);
        if (node->kind != REDIS_KIND_STRING || value->kind != REDIS_KIND_STRING ||
            !take_field(node->text, value->text, entry)) {
            return false;
        }
        node = redis_reply_next(value);
    }
    return true;
}

/* ---- what is written ---- */

static bool put_text(struct bytes text, struct buf *out) {
    const uint8_t head[TEXT_HEAD_BYTES] = {(uint8_t)text.len, (uint8_t)(text.len >> 8),
                                           (uint8_t)(text.len >> 16), (uint8_t)(text.len >> 24)};
    return buf_append(out, head, sizeof head) && (text.len == 0 || buf_append(out, text.data, text.len));
}

static bool put_number(uint64_t number, struct buf *out) {
    char digits[NUMBER_MAX_DIGITS + 2];
    int n = snprintf(digits, sizeof digits, "%" PRIu64, number);
    return put_text((struct bytes){(const uint8_t *)digits, (size_t)n}, out);
}

static uint8_t flags_of(const struct ledger_put *put) {
    uint8_t followed = put->is_followed ? PUT_IS_FOLLOWED : 0;
    switch (put->kind) {
    case LEDGER_PUT_CHANGES:
        return 0;
    case LEDGER_PUT_SEED:
        return PUT_IS_SEED | followed;
    case LEDGER_PUT_SEED_GOES_ON:
        return PUT_IS_SEED | PUT_GOES_ON | followed;
    }
    return 0;
}

bool ledger_begin_put(const struct ledger_put *put, struct buf *out) {
    uint8_t flags = flags_of(put);
    return buf_append(out, &flags, sizeof flags) && put_text(put->who, out) && put_text(put->from, out) &&
           put_number(put->above, out);
}

bool ledger_add_put(struct bytes tenant, struct bytes resource, struct bytes text, int64_t if_revision,
                    struct buf *out) {
    return put_text(tenant, out) && put_text(resource, out) && put_text(text, out) &&
           (if_revision < 0 ? put_text((struct bytes){NULL, 0}, out) : put_number((uint64_t)if_revision, out));
}

bool ledger_write_note(const struct ledger_entry *note, struct buf *out) {
    const struct bytes texts[] = {note->what, note->who, note->from,   note->tenant, note->resource,
                                  note->key,  note->new, note->detail, note->scope,  note->limit};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct bytes text = texts[i];
        text.len = text.len < LEDGER_NOTE_MAX_BYTES ? text.len : LEDGER_NOTE_MAX_BYTES;
        if (!put_text(text, out)) {
            return false;
        }
    }
    return true;
}
