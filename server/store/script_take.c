/* script_take.c — packs the argument of take.lua and judges its reply; see script_take.h. */
#include "server/store/script_take.h"

#include <string.h>

#include "server/store/packed.h"
#include "server/store/replay.h"

enum take_flag { FLAG_AT_MOST = 1, FLAG_CHARGES = 2, FLAG_MEMO = 4, FLAG_RESERVATION = 8 };

enum { REPLY_HEAD_BYTES = 17 };

static bool is_allowed(const struct store_take *take) {
    bool is_single = take->at_most || take->memo != NULL || take->reservation != NULL;
    if (take->part->n_limits < 1 || take->part->n_limits > BUCKET_MAX_LIMITS || take->n_wishes < 1 ||
        take->n_wishes > STORE_MAX_WISHES || (is_single && take->n_wishes > 1)) {
        return false;
    }
    for (uint32_t i = 0; i < take->n_wishes; i++) {
        if (take->wishes[i].cost_tokens < 1 || take->wishes[i].cost_tokens > BUCKET_MAX_TOKENS) {
            return false;
        }
    }
    return true;
}

size_t script_take_pack(const struct store_take *take, uint8_t out[SCRIPT_TAKE_ARG_MAX_BYTES]) {
    if (!is_allowed(take)) {
        return 0;
    }
    uint8_t flags =
        (uint8_t)((take->at_most ? FLAG_AT_MOST : 0) | (take->charges_utok != NULL ? FLAG_CHARGES : 0) |
                  (take->memo != NULL ? FLAG_MEMO : 0) | (take->reservation != NULL ? FLAG_RESERVATION : 0));
    uint8_t *end = packed_put(out, flags, 1);
    end = packed_put(end, take->part->n_limits, 1);
    end = script_limits_put(take->part->limits, take->part->n_limits, 0, end);
    if (end == NULL) {
        return 0;
    }
    for (uint32_t i = 0; take->charges_utok != NULL && i < take->part->n_limits; i++) {
        end = packed_put(end, (uint64_t)take->charges_utok[i], 8);
    }
    if (take->memo != NULL) {
        end = script_memo_put(take->memo, end);
    }
    if (take->reservation != NULL) {
        end = packed_put_bytes(end, take->reservation->id, STORE_RESERVATION_ID_BYTES);
        end = script_ttl_put(take->reservation->ttl_us, end);
    }
    for (uint32_t i = 0; i < take->n_wishes; i++) {
        end = packed_put(end, (uint64_t)(take->wishes[i].cost_tokens * BUCKET_UTOK_PER_TOKEN), 8);
    }
    return (size_t)(end - out);
}

struct take_reply {
    int64_t now_us, granted_tokens;
    const uint8_t *reservation_id; /* NULL: none was asked for */
    struct bucket_record record;   /* on which it was decided */
};

static bool read_reply(struct bytes bytes, bool has_reservation, struct take_reply *reply) {
    size_t n_head_bytes = REPLY_HEAD_BYTES + (has_reservation ? STORE_RESERVATION_ID_BYTES : 0);
    if (bytes.len < n_head_bytes || bytes.data[0] != SCRIPT_TAG_DONE) {
        return false;
    }
    int64_t granted_utok = packed_get_int64(bytes.data + 9);
    reply->now_us = packed_get_int64(bytes.data + 1);
    reply->granted_tokens = granted_utok / BUCKET_UTOK_PER_TOKEN;
    reply->reservation_id = has_reservation ? bytes.data + REPLY_HEAD_BYTES : NULL;
    struct bytes rest = packed_skip(bytes, n_head_bytes);
    if (!script_record_parse(rest, &reply->record) && rest.len > 0) {
        return false;
    }
    return reply->now_us >= 0 && reply->now_us <= BUCKET_MAX_NOW_US && granted_utok >= 0 &&
           granted_utok % BUCKET_UTOK_PER_TOKEN == 0;
}

bool script_take_parse(struct bytes bytes, struct store_take *take) {
    enum store_answer answer;
    struct take_reply reply;
    if (!script_memo_read(&bytes, take->memo, &answer)) {
        return false;
    }
    if (answer == STORE_KEY_REUSED) {
        take->answer = answer;
        return true;
    }
    if (!read_reply(bytes, take->reservation != NULL, &reply)) {
        return false;
    }
    if (answer == STORE_REPEATED) {
        if (reply.granted_tokens > take->wishes[0].cost_tokens) {
            return false;
        }
        replay_earlier_take(take, &reply.record, reply.granted_tokens, reply.now_us);
    } else {
        if (replay_take(take, &reply.record, reply.now_us) != reply.granted_tokens) {
            return false;
        }
        take->record = reply.record;
        take->record.at_us -= reply.now_us;
        take->record.calendar_us = reply.now_us;
    }
    if (reply.reservation_id != NULL) {
        memcpy(take->reservation_id, reply.reservation_id, STORE_RESERVATION_ID_BYTES);
    }
    take->answer = answer;
    take->granted_tokens = reply.granted_tokens;
    return true;
}
