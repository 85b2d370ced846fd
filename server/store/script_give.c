/* script_give.c — packs the argument of give.lua and judges its reply; see script_give.h. */
#include "server/store/script_give.h"

#include "server/store/packed.h"
#include "server/store/replay.h"

enum give_flag { FLAG_REFUND = 1, FLAG_MEMO = 4, FLAG_SETTLE = 8 };

enum { UNKNOWN_REPLY_BYTES = 9, REPLY_HEAD_BYTES = 25 };

static bool is_allowed(const struct store_give *give) {
    int64_t least_tokens = give->reservation_id != NULL ? 0 : -BUCKET_MAX_TOKENS;
    return give->part->n_limits >= 1 && give->part->n_limits <= BUCKET_MAX_LIMITS &&
           give->tokens >= least_tokens && give->tokens <= BUCKET_MAX_TOKENS;
}

size_t script_give_pack(const struct store_give *give, uint8_t out[SCRIPT_GIVE_ARG_MAX_BYTES]) {
    if (!is_allowed(give)) {
        return 0;
    }
    bool settles = give->reservation_id != NULL;
    uint8_t flags = (uint8_t)((give->is_refund ? FLAG_REFUND : 0) | (give->memo != NULL ? FLAG_MEMO : 0) |
                              (settles ? FLAG_SETTLE : 0));
    uint8_t *end = packed_put(out, flags, 1);
    end = packed_put(end, give->part->n_limits, 1);
    end = packed_put(end, (uint64_t)(give->tokens * BUCKET_UTOK_PER_TOKEN), 8);
    end = script_limits_put(give->part->limits, give->part->n_limits, 0, end);
    if (end != NULL && give->memo != NULL) {
        end = script_memo_put(give->memo, end);
    }
    return end != NULL ? (size_t)(end - out) : 0;
}

struct give_reply {
    bool is_unknown;
    int64_t now_us, reserved_utok, booked_utok;
    struct bucket_record record;
};

static bool read_reply(struct bytes bytes, struct give_reply *reply) {
    *reply = (struct give_reply){.is_unknown =
                                     bytes.len == UNKNOWN_REPLY_BYTES && bytes.data[0] == SCRIPT_TAG_UNKNOWN};
    if (!reply->is_unknown) {
        if (bytes.len < REPLY_HEAD_BYTES || bytes.data[0] != SCRIPT_TAG_DONE) {
            return false;
        }
        struct bytes rest = packed_skip(bytes, REPLY_HEAD_BYTES);
        if (!script_record_parse(rest, &reply->record) && rest.len > 0) {
            return false;
        }
        reply->reserved_utok = packed_get_int64(bytes.data + 9);
        reply->booked_utok = packed_get_int64(bytes.data + 17);
    }
    reply->now_us = packed_get_int64(bytes.data + 1);
    return reply->now_us >= 0 && reply->now_us <= BUCKET_MAX_NOW_US;
}

/* Could this call have been answered so? */
static bool is_answer(const struct give_reply *reply, const struct store_give *give) {
    bool settles = give->reservation_id != NULL;
    if (reply->is_unknown) {
        return settles;
    }
    int64_t reserved_utok = reply->reserved_utok;
    if (reserved_utok % BUCKET_UTOK_PER_TOKEN != 0 || reserved_utok < 0 ||
        reserved_utok > BUCKET_MAX_TOKENS * BUCKET_UTOK_PER_TOKEN || (reserved_utok > 0) != settles) {
        return false;
    }
    int64_t tokens_utok = give->tokens * BUCKET_UTOK_PER_TOKEN;
    int64_t gain_utok = settles ? reserved_utok - tokens_utok : tokens_utok;
    return gain_utok >= 0 ? reply->booked_utok >= 0 && reply->booked_utok <= gain_utok
                          : reply->booked_utok <= 0 && reply->booked_utok >= gain_utok;
}

/* A record that is too far ahead will be dated anew by the next check. */
static int64_t dated(int64_t at_us, int64_t now_us) {
    return at_us - now_us > BUCKET_CLOCK_SLACK_US ? now_us : at_us;
}

bool script_give_parse(struct bytes bytes, struct store_give *give) {
    enum store_answer answer;
    struct give_reply reply;
    if (!script_memo_read(&bytes, give->memo, &answer)) {
        return false;
    }
    if (answer == STORE_KEY_REUSED) {
        give->answer = answer;
        return true;
    }
    if (!read_reply(bytes, &reply) || !is_answer(&reply, give)) {
        return false;
    }
    give->answer = answer;
    give->is_unknown = reply.is_unknown;
    if (reply.is_unknown) {
        return true;
    }
    give->reserved_tokens = reply.reserved_utok / BUCKET_UTOK_PER_TOKEN;
    give->booked_utok = reply.booked_utok;
    replay_give(give, &reply.record, reply.now_us);
    if (answer == STORE_FRESH) {
        give->record = reply.record;
        give->record.at_us = dated(reply.record.at_us, reply.now_us) - reply.now_us;
        give->record.calendar_us = reply.now_us;
    }
    return true;
}
