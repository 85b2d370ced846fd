/* script_lease.c — packs arguments for lease.lua and judges its replies. */
#include "server/store/script_lease.h"

#include "server/store/packed.h"

enum { FLAG_ONLY_RETURNS = 1, FLAG_CHARGES = 2 };
enum { REPLY_TAG = 4, REPLY_HEAD_BYTES = 41 };

static uint8_t *put_bounded(uint8_t *out, int64_t value, int64_t most) {
    value = value < most ? value : most;
    return packed_put(out, (uint64_t)(value > 0 ? value : 0), 8);
}

static uint8_t *put_wish(uint8_t *out, const struct lease_wish *wish) {
    out = put_bounded(out, wish->told.epoch, BUCKET_MAX_EXACT);
    out = put_bounded(out, wish->told.n_tokens, 2 * BUCKET_MAX_TOKENS);
    out = put_bounded(out, wish->told.n_unused, wish->told.n_tokens);
    out = put_bounded(out, wish->need_tokens, BUCKET_MAX_TOKENS);
    out = put_bounded(out, wish->extra_tokens, BUCKET_MAX_TOKENS);
    out = put_bounded(out, wish->seen_tokens, LEASE_MAX_SEEN_TOKENS);
    out = put_bounded(out, wish->pace_per_s, LEASE_MAX_PACE_PER_S);
    return put_bounded(out, wish->lease_us, LEASE_TIME_MAX_US);
}

size_t script_lease_pack(const struct script_lease *lease, uint8_t *out, size_t cap) {
    bool charges = lease->charges_utok != NULL;
    size_t limit_bytes = SCRIPT_CHECK_LIMIT_BYTES + (charges ? SCRIPT_CHECK_CHARGE_BYTES : 0);
    size_t need = SCRIPT_LEASE_HEAD_BYTES + (size_t)lease->n_limits * limit_bytes;
    if (lease->n_limits < 1 || lease->n_limits > BUCKET_MAX_LIMITS || need > cap) {
        return 0;
    }
    bool only_returns = lease->wish.only_returns;
    out = packed_put(out, (only_returns ? FLAG_ONLY_RETURNS : 0) | (charges ? FLAG_CHARGES : 0), 1);
    out = put_wish(out, &lease->wish);
    for (uint32_t i = 0; i < lease->n_limits; i++) {
        if (bucket_is_window(&lease->limits[i])) {
            return 0;
        }
    }
    out = script_limits_put(lease->limits, lease->n_limits, 0, out);
    if (out == NULL) {
        return 0;
    }
    for (uint32_t i = 0; charges && i < lease->n_limits; i++) {
        out = packed_put(out, (uint64_t)lease->charges_utok[i], 8);
    }
    return need;
}

/* Do the levels leave room for what is out? */
static bool is_left_by_lease(const struct bucket_record *record, const struct script_lease *lease,
                             const struct lease_grant *grant) {
    if (record->n_levels != lease->n_limits) {
        return false;
    }
    int64_t granted_utok = (grant->n_there + grant->n_to_come) * BUCKET_UTOK_PER_TOKEN;
    for (uint32_t i = 0; i < lease->n_limits; i++) {
        int64_t burst_utok = lease->limits[i].burst_utok;
        int64_t cap_utok = burst_utok - grant->n_others * BUCKET_UTOK_PER_TOKEN;
        int64_t most_utok = (cap_utok > 0 ? cap_utok : 0) - granted_utok;
        int64_t utok = record->levels[i].utok;
        if (record->levels[i].id != lease->limits[i].id || utok < -burst_utok || utok > most_utok) {
            return false;
        }
    }
    return true;
}

static bool is_count(int64_t n, int64_t most) {
    return n >= 0 && n <= most;
}

bool script_lease_parse(struct bytes reply, const struct script_lease *lease, struct lease_grant *grant,
                        struct bucket_record *record) {
    struct bucket_record left;
    if (reply.len < REPLY_HEAD_BYTES || reply.data[0] != REPLY_TAG ||
        !script_record_parse(packed_skip(reply, REPLY_HEAD_BYTES), &left)) {
        return false;
    }
    int64_t now_us = packed_get_int64(reply.data + 1);
    struct lease_grant told = {
        .epoch = left.at_us / LEASE_EPOCH_US,
        .n_there = packed_get_int64(reply.data + 9),
        .n_to_come = packed_get_int64(reply.data + 17),
        .delay_us = packed_get_int64(reply.data + 25),
        .n_others = packed_get_int64(reply.data + 33),
    };
    const struct lease_wish *wish = &lease->wish;
    int64_t most = wish->only_returns ? 0 : wish->need_tokens + wish->extra_tokens;
    if (!is_count(now_us, BUCKET_MAX_NOW_US) || left.at_us < now_us ||
        left.at_us - now_us > BUCKET_CLOCK_SLACK_US || !is_count(told.n_there, most) ||
        !is_count(told.n_to_come, most - told.n_there) || !is_count(told.delay_us, BUCKET_MAX_EXACT) ||
        (told.n_to_come > 0 && told.delay_us == 0) || !is_count(told.n_others, 2 * BUCKET_MAX_TOKENS) ||
        !is_left_by_lease(&left, lease, &told)) {
        return false;
    }
    left.at_us -= now_us;
    *grant = told;
    *record = left;
    return true;
}
