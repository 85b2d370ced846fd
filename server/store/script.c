/* script.c — packs arguments for the Lua scripts and judges their replies; numbers are little-endian. */
#include "server/store/script.h"

#include "server/store/packed.h"

enum { CHECK_FLAG_PEEK = 1, CHECK_FLAG_CHARGES = 2 };

/* The first byte of a reply to a check; RECORD is also the first byte of every record. */
enum check_tag { CHECK_TAG_RECORD = 1, CHECK_TAG_STANDS = 2, CHECK_TAG_ALLOWED_AHEAD = 3 };

enum { CHECK_REPLY_HEAD_BYTES = 9 };

uint8_t *script_limits_put(const struct bucket_limit *limits, uint32_t n_limits, uint8_t *out) {
    for (uint32_t i = 0; i < n_limits; i++) {
        if (limits[i].count < 1) {
            return NULL;
        }
        out = packed_put(out, limits[i].id, 4);
        out = packed_put(out, (uint64_t)limits[i].count, 8);
        out = packed_put(out, (uint64_t)limits[i].period_s, 8);
        out = packed_put(out, (uint64_t)limits[i].burst_utok, 8);
    }
    return out;
}

size_t script_check_pack(const struct script_check *check, uint8_t *out, size_t cap) {
    bool charges = check->charges_utok != NULL;
    size_t need =
        SCRIPT_CHECK_HEAD_BYTES +
        (size_t)check->n_limits * (SCRIPT_CHECK_LIMIT_BYTES + (charges ? SCRIPT_CHECK_CHARGE_BYTES : 0));
    if (check->n_limits < 1 || check->n_limits > BUCKET_MAX_LIMITS || need > cap) {
        return 0;
    }
    out = packed_put(out, (check->peek ? CHECK_FLAG_PEEK : 0) | (charges ? CHECK_FLAG_CHARGES : 0), 1);
    out = packed_put(out, (uint64_t)(check->cost_tokens * BUCKET_UTOK_PER_TOKEN), 8);
    out = script_limits_put(check->limits, check->n_limits, out);
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

/* Could this check have left this record, having charged its cost? */
static bool is_left_by_check(const struct bucket_record *record, const struct script_check *check,
                             int64_t now_us) {
    if (record->n_levels != check->n_limits || record->at_us < now_us ||
        record->at_us > now_us + BUCKET_CLOCK_SLACK_US) {
        return false;
    }
    for (uint32_t i = 0; i < check->n_limits; i++) {
        int64_t most_utok = check->limits[i].burst_utok - check->cost_tokens * BUCKET_UTOK_PER_TOKEN;
        if (record->levels[i].id != check->limits[i].id || record->levels[i].utok < 0 ||
            record->levels[i].utok > most_utok) {
            return false;
        }
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
        if (check->peek || !is_left_by_check(&reply.record, check, reply.now_us)) {
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
    return true;
}
