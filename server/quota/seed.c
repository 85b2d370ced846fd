/* seed.c — a set of quotas as arguments of lua/quota_put.lua; see seed.h. */
#include "server/quota/seed.h"

#include <string.h>

#include "server/quota/ledger.h"
#include "server/quota/quota_json.h"

static struct bytes bytes_of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

/* The place behind the next SEED_PART_QUOTAS quotas. */
static uint32_t end_of_part(const struct quota_set *set, uint32_t place) {
    uint32_t n_places = quota_set_n_places(set);
    for (uint32_t n = 0; place < n_places && n < SEED_PART_QUOTAS; place++) {
        n += quota_set_at(set, place) != NULL;
    }
    return place;
}

static bool add_unknown(const struct quota_set *set, struct buf *out) {
    const char *word = quota_set_unknown(set) == QUOTA_UNKNOWN_DENY ? "deny" : "allow";
    return ledger_add_put(bytes_of(""), bytes_of(LEDGER_DEFAULT), bytes_of(word), LEDGER_ANY_REVISION, out);
}

static bool add_quota(const struct quota *quota, struct buf *json, struct buf *out) {
    struct quota_rules rules;
    quota_get_rules(quota, &rules);
    buf_consume(json, buf_len(json));
    return quota_json_write(&rules, json) &&
           ledger_add_put(quota_tenant(quota), quota_resource(quota),
                          (struct bytes){buf_front(json), buf_len(json)}, LEDGER_ANY_REVISION, out);
}

static bool add_part(const struct seed *seed, uint32_t end, struct buf *out) {
    struct buf json = {0};
    bool is_added = seed->next_place > 0 || add_unknown(seed->set, out);
    for (uint32_t place = seed->next_place; place < end && is_added; place++) {
        const struct quota *quota = quota_set_at(seed->set, place);
        is_added = quota == NULL || add_quota(quota, &json, out);
    }
    buf_deinit(&json);
    return is_added;
}

bool seed_write_part(struct seed *seed, struct buf *out, bool *is_last) {
    uint32_t end = seed->set != NULL ? end_of_part(seed->set, seed->next_place) : 0;
    *is_last = seed->set == NULL || end == quota_set_n_places(seed->set);
    struct ledger_put put = {
        .kind = seed->goes_on ? LEDGER_PUT_SEED_GOES_ON : LEDGER_PUT_SEED,
        .is_followed = !*is_last,
        .above = seed->set != NULL ? quota_set_revision(seed->set) : 0,
        .who = bytes_of("seed"),
        .from = seed->from,
    };
    if (!ledger_begin_put(&put, out) || (seed->set != NULL && !add_part(seed, end, out))) {
        return false;
    }
    seed->next_place = end;
    seed->goes_on = true;
    return true;
}
