/* script_take.c — packs the argument of take.lua and judges its reply; see script_take.h. */
#include "server/store/script_take.h"

#include <string.h>

#include "server/store/packed.h"
#include "server/store/replay.h"

enum take_flag {
    FLAG_AT_MOST = 1,
    FLAG_CHARGES = 2,
    FLAG_MEMO = 4,
    FLAG_RESERVATION = 8,
    FLAG_DENIED = 16,
    FLAG_ELSEWHERE = 32,
};

enum { REPLY_HEAD_BYTES = 17 };

/* ---- what was said elsewhere ---- */

static int64_t clamp(int64_t value, int64_t least) {
    return value < least ? least : value > BUCKET_MAX_EXACT ? BUCKET_MAX_EXACT : value;
}

/* SCRIPT_ELSEWHERE_BYTES, which the script keeps as they are. */
static uint8_t *elsewhere_put(const struct store_elsewhere *elsewhere, uint8_t *out) {
    const struct bucket_verdict *verdict = &elsewhere->verdict;
    out = packed_put(out, SCRIPT_TAG_ELSEWHERE, 1);
    out = packed_put(out, elsewhere->limit_id, 4);
    out = packed_put(out, verdict->allowed, 1);
    out = packed_put(out, (uint64_t)clamp(verdict->remaining_utok, -BUCKET_MAX_EXACT), 8);
    out = packed_put(out, (uint64_t)clamp(verdict->allowed ? 0 : verdict->retry_after_us, 0), 8);
    out = packed_put(out, (uint64_t)clamp(verdict->reset_after_us, 0), 8);
    return packed_put(out, (uint64_t)clamp(verdict->wait_us, 0), 8);
}

static bool is_time(int64_t us) {
    return us >= 0 && us <= BUCKET_MAX_EXACT;
}

static bool elsewhere_read(const uint8_t bytes[SCRIPT_ELSEWHERE_BYTES], struct store_elsewhere *elsewhere) {
    *elsewhere = (struct store_elsewhere){
        .limit_id = (uint32_t)packed_get(bytes + 1, 4),
        .verdict = {.allowed = bytes[5] == 1,
                    .remaining_utok = packed_get_int64(bytes + 6),
                    .retry_after_us = packed_get_int64(bytes + 14),
                    .reset_after_us = packed_get_int64(bytes + 22),
                    .wait_us = packed_get_int64(bytes + 30)},
    };
    const struct bucket_verdict *verdict = &elsewhere->verdict;
    bool may_be_retried = !verdict->allowed || verdict->retry_after_us == 0;
    return bytes[5] <= 1 && may_be_retried && verdict->remaining_utok >= -BUCKET_MAX_EXACT &&
           verdict->remaining_utok <= BUCKET_MAX_EXACT && is_time(verdict->retry_after_us) &&
           is_time(verdict->reset_after_us) && is_time(verdict->wait_us);
}

/* ---- the argument ---- */

static bool is_allowed_elsewhere(const struct store_take *take) {
    bool has_memo = take->memo != NULL;
    bool is_told = take->elsewhere == NULL || take->elsewhere->verdict.allowed == !take->is_denied_elsewhere;
    return is_told && (has_memo || take->elsewhere == NULL) && (has_memo || !take->is_denied_elsewhere);
}

static bool is_allowed(const struct store_take *take) {
    bool is_single = take->at_most || take->memo != NULL || take->reservation != NULL;
    if (take->part->n_limits < 1 || take->part->n_limits > BUCKET_MAX_LIMITS || take->n_wishes < 1 ||
        take->n_wishes > STORE_MAX_WISHES || (is_single && take->n_wishes > 1) || !is_allowed_elsewhere(take)) {
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
                  (take->memo != NULL ? FLAG_MEMO : 0) | (take->reservation != NULL ? FLAG_RESERVATION : 0) |
                  (take->is_denied_elsewhere ? FLAG_DENIED : 0) |
                  (take->elsewhere != NULL ? FLAG_ELSEWHERE : 0));
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
    if (take->elsewhere != NULL) {
        end = elsewhere_put(take->elsewhere, end);
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

/* ---- the reply ---- */

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

static void set_done(struct store_take *take, const struct take_reply *reply) {
    if (reply->reservation_id != NULL) {
        memcpy(take->reservation_id, reply->reservation_id, STORE_RESERVATION_ID_BYTES);
    }
    take->granted_tokens = reply->granted_tokens;
}

static bool read_denial(struct bytes bytes, struct store_take *take) {
    take->wishes[0].verdict = (struct bucket_verdict){.allowed = false};
    if (bytes.len != 1 || bytes.data[0] != SCRIPT_TAG_DENIED) {
        return false;
    }
    take->granted_tokens = 0;
    return true;
}

static bool read_fresh(struct bytes bytes, struct store_take *take) {
    struct take_reply reply;
    if (take->is_denied_elsewhere) {
        return read_denial(bytes, take);
    }
    if (!read_reply(bytes, take->reservation != NULL, &reply) ||
        replay_take(take, &reply.record, reply.now_us) != reply.granted_tokens) {
        return false;
    }
    take->record = reply.record;
    take->record.at_us -= reply.now_us;
    take->record.calendar_us = reply.now_us;
    set_done(take, &reply);
    return true;
}

/* An at_most one may be repeated with a smaller wish, since other limits have less by now. */
static bool read_earlier(struct bytes bytes, struct store_take *take) {
    struct take_reply reply;
    struct store_elsewhere earlier = {.verdict.allowed = true};
    bool has_earlier = bytes.len >= SCRIPT_ELSEWHERE_BYTES && bytes.data[0] == SCRIPT_TAG_ELSEWHERE;
    if (has_earlier) {
        if (!elsewhere_read(bytes.data, &earlier)) {
            return false;
        }
        bytes = packed_skip(bytes, SCRIPT_ELSEWHERE_BYTES);
    }
    if (!earlier.verdict.allowed) {
        if (!read_denial(bytes, take)) {
            return false;
        }
    } else {
        int64_t most_tokens = take->at_most ? BUCKET_MAX_TOKENS : take->wishes[0].cost_tokens;
        if (!read_reply(bytes, take->reservation != NULL, &reply) || reply.granted_tokens > most_tokens) {
            return false;
        }
        replay_earlier_take(take, &reply.record, reply.granted_tokens, reply.now_us);
        set_done(take, &reply);
    }
    take->has_earlier = has_earlier;
    take->earlier = earlier;
    return true;
}

bool script_take_parse(struct bytes bytes, struct store_take *take) {
    enum store_answer answer;
    bool is_read = false;
    if (!script_memo_read(&bytes, take->memo, &answer)) {
        return false;
    }
    switch (answer) {
    case STORE_FRESH:
        is_read = read_fresh(bytes, take);
        break;
    case STORE_REPEATED:
        is_read = read_earlier(bytes, take);
        break;
    case STORE_KEY_REUSED:
        is_read = true;
        break;
    }
    take->answer = is_read ? answer : take->answer;
    return is_read;
}
