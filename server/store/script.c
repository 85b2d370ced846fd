/* script.c — packs arguments for the Lua scripts and judges their replies; numbers are little-endian. */
#include "server/store/script.h"

#include "server/store/packed.h"

enum { CHECK_FLAG_PEEK = 1, CHECK_FLAG_CHARGES = 2, CHECK_FLAG_WINDOWS = 4 };

/* The first byte of a reply to a check; RECORD is also the first byte of every record. */
enum check_tag { CHECK_TAG_RECORD = 1, CHECK_TAG_STANDS = 2, CHECK_TAG_ALLOWED_AHEAD = 3, TAG_TIME = 4 };

enum { CHECK_REPLY_HEAD_BYTES = 9 };

/* A window is told three periods and their neighbours, in minutes: every period begins and ends with one. */
static uint8_t *put_window(const struct bucket_limit *limit, int64_t unix_us, uint8_t *out) {
    enum { FIRST = -2, END = 3 };
    const int64_t minute_us = CALENDAR_MINUTE * INT64_C(1000000);
    enum calendar_period period = (enum calendar_period)limit->period_s;
    int64_t start_us = calendar_start(period, unix_us, FIRST);
    out = packed_put(out, (uint64_t)-limit->count, 8);
    out = packed_put(out, limit->algorithm == BUCKET_SLIDING_WINDOW, 2);
    out = packed_put(out, (uint64_t)(start_us / minute_us), 4);
    for (int i = FIRST; i < END; i++) {
        int64_t end_us = calendar_start(period, unix_us, i + 1);
        out = packed_put(out, (uint64_t)((end_us - start_us) / minute_us), 2);
        start_us = end_us;
    }
    return out;
}

uint8_t *script_limits_put(const struct bucket_limit *limits, uint32_t n_limits, int64_t unix_us,
                           uint8_t *out) {
    for (uint32_t i = 0; i < n_limits; i++) {
        const struct bucket_limit *limit = &limits[i];
        if (limit->count < 1) {
            return NULL;
        }
        out = packed_put(out, limit->id, 4);
        if (bucket_is_window(limit)) {
            out = put_window(limit, unix_us, out);
        } else {
            out = packed_put(out, (uint64_t)limit->count, 8);
            out = packed_put(out, (uint64_t)limit->period_s, 8);
            out = packed_put(out, (uint64_t)limit->burst_utok, 8);
        }
    }
    return out;
}

static uint64_t check_flags(const struct script_check *check) {
    uint64_t flags = check->peek ? CHECK_FLAG_PEEK : 0;
    if (check->charges_utok != NULL) {
        flags |= CHECK_FLAG_CHARGES;
    }
    for (uint32_t i = 0; i < check->n_limits; i++) {
        if (bucket_is_window(&check->limits[i])) {
            flags |= CHECK_FLAG_WINDOWS;
        }
    }
    return flags;
}

size_t script_check_pack(const struct script_check *check, uint8_t *out, size_t cap) {
    bool charges = check->charges_utok != NULL;
    size_t need =
        SCRIPT_CHECK_HEAD_BYTES +
        (size_t)check->n_limits * (SCRIPT_CHECK_LIMIT_BYTES + (charges ? SCRIPT_CHECK_CHARGE_BYTES : 0));
    if (check->n_limits < 1 || check->n_limits > BUCKET_MAX_LIMITS || need > cap) {
        return 0;
    }
    out = packed_put(out, check_flags(check), 1);
    out = packed_put(out, (uint64_t)(check->cost_tokens * BUCKET_UTOK_PER_TOKEN), 8);
    out = script_limits_put(check->limits, check->n_limits, check->unix_us, out);
    if (out == NULL) {
        return 0;
    }
    for (uint32_t i = 0; charges && i < check->n_limits; i++) {
        out = packed_put(out, (uint64_t)check->charges_utok[i], 8);
    }
    return need;
}

size_t script_record_pack(const struct bucket_record *record, uint8_t out[SCRIPT_RECORD_MAX_BYTES]) {
    uint8_t *end = packed_put(out, CHECK_TAG_RECORD, 1);
    end = packed_put(end, (uint64_t)record->at_us, 8);
    for (uint32_t i = 0; i < record->n_levels; i++) {
        end = packed_put(end, record->levels[i].id, 4);
        end = packed_put(end, (uint64_t)record->levels[i].utok, 8);
    }
    return (size_t)(end - out);
}

bool script_record_parse(struct bytes bytes, struct bucket_record *record) {
    *record = (struct bucket_record){0};
    if (bytes.len <= SCRIPT_RECORD_HEAD_BYTES || bytes.len > SCRIPT_RECORD_MAX_BYTES ||
        (bytes.len - SCRIPT_RECORD_HEAD_BYTES) % SCRIPT_RECORD_LEVEL_BYTES != 0 ||
        bytes.data[0] != CHECK_TAG_RECORD || packed_get_int64(bytes.data + 1) < 0) {
        return false;
    }
    record->at_us = packed_get_int64(bytes.data + 1);
    for (const uint8_t *at = bytes.data + SCRIPT_RECORD_HEAD_BYTES; at < bytes.data + bytes.len;
         at += SCRIPT_RECORD_LEVEL_BYTES) {
        record->levels[record->n_levels++] =
            (struct bucket_level){.id = (uint32_t)packed_get(at, 4), .utok = packed_get_int64(at + 4)};
    }
    return true;
}

struct check_reply {
    bool allowed;
    int64_t now_us;
    struct bucket_record record; /* that stands after the decision */
};

static bool read_check_reply(struct bytes bytes, struct check_reply *reply) {
    if (script_record_parse(bytes, &reply->record)) {
        reply->allowed = true;
        reply->now_us = reply->record.at_us;
    } else {
        if (bytes.len < CHECK_REPLY_HEAD_BYTES ||
            (bytes.data[0] != CHECK_TAG_STANDS && bytes.data[0] != CHECK_TAG_ALLOWED_AHEAD)) {
            return false;
        }
        reply->allowed = bytes.data[0] == CHECK_TAG_ALLOWED_AHEAD;
        reply->now_us = packed_get_int64(bytes.data + 1);
        struct bytes rest = {bytes.data + CHECK_REPLY_HEAD_BYTES, bytes.len - CHECK_REPLY_HEAD_BYTES};
        if (!script_record_parse(rest, &reply->record) && rest.len > 0) {
            return false;
        }
    }
    return reply->now_us >= 0 && reply->now_us <= BUCKET_MAX_NOW_US;
}

bool script_check_parse(struct bytes bytes, const struct script_check *check, struct bucket_verdict *verdict,
                        struct bucket_record *record) {
    struct check_reply reply;
    if (!read_check_reply(bytes, &reply)) {
        return false;
    }
    if (reply.allowed) {
        if (check->peek || !bucket_is_left_by(&reply.record, check->limits, check->n_limits, check->cost_tokens,
                                              reply.now_us)) {
            return false;
        }
        bucket_describe_allowed(&reply.record, check->limits, check->n_limits, check->cost_tokens, reply.now_us,
                                verdict);
    } else {
        struct bucket_verdict stands;
        bucket_check(&reply.record, check->limits, check->n_limits, check->cost_tokens, reply.now_us, true,
                     &stands);
        if (stands.allowed && !check->peek) {
            return false;
        }
        *verdict = stands;
    }
    *record = reply.record;
    record->at_us -= reply.now_us;
    record->calendar_us = reply.now_us;
    return true;
}

bool script_tells_time(struct bytes reply, int64_t *unix_us) {
    if (reply.len != CHECK_REPLY_HEAD_BYTES || reply.data[0] != TAG_TIME) {
        return false;
    }
    *unix_us = packed_get_int64(reply.data + 1);
    return *unix_us >= 0 && *unix_us <= BUCKET_MAX_NOW_US;
}
