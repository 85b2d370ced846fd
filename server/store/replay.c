/* replay.c — what takes and gives come to; see replay.h. */
#include "server/store/replay.h"

/* What of the wish is there, in whole tokens; 1 when there is none. */
static int64_t cost_at_most(const struct store_take *take, const struct bucket_record *record, int64_t now_us) {
    int64_t levels_utok[BUCKET_MAX_LIMITS];
    int64_t cost_tokens = take->wishes[0].cost_tokens;
    bucket_levels(record, take->part->limits, take->part->n_limits, now_us, levels_utok);
    for (uint32_t i = 0; i < take->part->n_limits; i++) {
        int64_t there_tokens = levels_utok[i] / BUCKET_UTOK_PER_TOKEN;
        cost_tokens = there_tokens < cost_tokens ? there_tokens : cost_tokens;
    }
    return cost_tokens > 1 ? cost_tokens : 1;
}

int64_t replay_take(const struct store_take *take, struct bucket_record *record, int64_t now_us) {
    int64_t granted_tokens = 0;
    for (uint32_t i = 0; i < take->n_wishes; i++) {
        struct store_wish *wish = &take->wishes[i];
        int64_t cost_tokens = take->at_most ? cost_at_most(take, record, now_us) : wish->cost_tokens;
        bucket_check(record, take->part->limits, take->part->n_limits, cost_tokens, now_us, false,
                     &wish->verdict);
        granted_tokens += wish->verdict.allowed ? cost_tokens : 0;
    }
    return granted_tokens;
}

void replay_earlier_take(const struct store_take *take, const struct bucket_record *record,
                         int64_t granted_tokens, int64_t now_us) {
    const struct quota_part *part = take->part;
    struct bucket_record copy = *record;
    struct bucket_verdict *verdict = &take->wishes[0].verdict;
    bool allowed = granted_tokens > 0;
    int64_t denied_tokens = take->at_most ? 1 : take->wishes[0].cost_tokens;
    int64_t cost_tokens = allowed ? granted_tokens : denied_tokens;
    bucket_check(&copy, part->limits, part->n_limits, cost_tokens, now_us, false, verdict);
    if (verdict->allowed == allowed) {
        return;
    }
    copy = *record;
    bucket_check(&copy, part->limits, part->n_limits, cost_tokens, now_us, true, verdict);
    verdict->allowed = allowed;
    verdict->retry_after_us = allowed ? 0 : verdict->retry_after_us;
}

void replay_give(struct store_give *give, const struct bucket_record *record, int64_t now_us) {
    static const int64_t nothing[BUCKET_MAX_LIMITS] = {0};
    struct bucket_record left = *record;
    bucket_book(&left, give->part->limits, give->part->n_limits, nothing, now_us);
    bucket_describe_allowed(&left, give->part->limits, give->part->n_limits, 0, now_us, &give->verdict);
}
