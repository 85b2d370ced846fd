/* redis_take.c — take, give and lease by script calls: keys, argument, and what the reply means; see redis_take.h. */
#include "server/store/redis_take.h"

#include "server/base/list.h"
#include "server/store/redis_call.h"
#include "server/store/script_give.h"
#include "server/store/script_lease.h"
#include "server/store/script_take.h"
#include "server/store/store_key.h"

/* The three keys of a take or a give. */
struct keys {
    uint8_t record[STORE_KEY_MAX_BYTES], memo[STORE_KEY_BESIDE_MAX_BYTES],
        reservation[STORE_KEY_BESIDE_MAX_BYTES];
};

/* A key that has no use is the record's again. False: beyond the limits of quota.h and store.h. */
static bool write_keys(const struct bucket_name *name, const struct store_memo *memo,
                       const uint8_t *reservation_id, struct keys *keys, struct redis_call_words *words) {
    size_t n = store_key_write(name, keys->record, sizeof keys->record);
    struct bytes record = {.data = keys->record, .len = n};
    words->keys[0] = words->keys[1] = words->keys[2] = record;
    words->n_keys = 3;
    if (memo != NULL) {
        bool fits = memo->key.len >= 1 && memo->key.len <= STORE_MEMO_KEY_MAX_BYTES;
        n = fits ? store_key_write_memo(record, memo->key, keys->memo, sizeof keys->memo) : 0;
        words->keys[1] = (struct bytes){.data = keys->memo, .len = n};
    }
    if (reservation_id != NULL) {
        n = store_key_write_reservation(record, reservation_id, keys->reservation, sizeof keys->reservation);
        words->keys[2] = (struct bytes){.data = keys->reservation, .len = n};
    }
    return record.len > 0 && words->keys[1].len > 0 && words->keys[2].len > 0;
}

static void take_concluded(void *operation, enum store_outcome outcome, const struct redis_reply *reply,
                           int64_t done_at_us) {
    struct store_take *take = operation;
    take->outcome = outcome;
    take->done_at_us = done_at_us;
    if (outcome == STORE_OK) {
        if (reply->kind == REDIS_KIND_STRING && script_take_parse(reply->text, take)) {
            redis_call_date(&take->record, done_at_us);
        } else {
            take->outcome = STORE_BAD_REPLY;
        }
    }
    take->done(take);
}

static enum store_outcome start_take(struct redis_calls *calls, struct store_take *take, int64_t now_us) {
    uint8_t argument[SCRIPT_TAKE_ARG_MAX_BYTES];
    struct keys keys;
    struct redis_call_words words = {
        .argument = {.data = argument, .len = script_take_pack(take, argument)},
        .part = take->part,
        .limits_at = SCRIPT_TAKE_HEAD_BYTES,
    };
    const uint8_t *id = take->reservation != NULL ? take->reservation->id : NULL;
    if (!write_keys(&take->name, take->memo, id, &keys, &words) || words.argument.len == 0) {
        return STORE_REFUSED;
    }
    return redis_call_start(calls, REDIS_SCRIPT_TAKE, &words, take->deadline_us, now_us, take_concluded, take);
}

enum store_progress redis_take(struct store *store, struct store_take *take, int64_t now_us) {
    take->record = (struct bucket_record){0};
    take->outcome = start_take(list_entry(store, struct redis_calls, store), take, now_us);
    return take->outcome == STORE_OK ? STORE_PENDING : STORE_DONE;
}

static void give_concluded(void *operation, enum store_outcome outcome, const struct redis_reply *reply,
                           int64_t done_at_us) {
    struct store_give *give = operation;
    give->outcome = outcome;
    give->done_at_us = done_at_us;
    if (outcome == STORE_OK) {
        if (reply->kind == REDIS_KIND_STRING && script_give_parse(reply->text, give)) {
            redis_call_date(&give->record, done_at_us);
        } else {
            give->outcome = STORE_BAD_REPLY;
        }
    }
    give->done(give);
}

static enum store_outcome start_give(struct redis_calls *calls, struct store_give *give, int64_t now_us) {
    uint8_t argument[SCRIPT_GIVE_ARG_MAX_BYTES];
    struct keys keys;
    struct redis_call_words words = {
        .argument = {.data = argument, .len = script_give_pack(give, argument)},
        .part = give->part,
        .limits_at = SCRIPT_GIVE_HEAD_BYTES,
    };
    if (!write_keys(&give->name, give->memo, give->reservation_id, &keys, &words) || words.argument.len == 0) {
        return STORE_REFUSED;
    }
    return redis_call_start(calls, REDIS_SCRIPT_GIVE, &words, give->deadline_us, now_us, give_concluded, give);
}

enum store_progress redis_give(struct store *store, struct store_give *give, int64_t now_us) {
    give->record = (struct bucket_record){0};
    give->outcome = start_give(list_entry(store, struct redis_calls, store), give, now_us);
    return give->outcome == STORE_OK ? STORE_PENDING : STORE_DONE;
}

static struct script_lease script_lease_of(const struct store_lease *lease) {
    return (struct script_lease){.limits = lease->part->limits,
                                 .n_limits = lease->part->n_limits,
                                 .wish = lease->wish,
                                 .charges_utok = lease->charges_utok};
}

static void lease_concluded(void *operation, enum store_outcome outcome, const struct redis_reply *reply,
                            int64_t done_at_us) {
    struct store_lease *lease = operation;
    lease->outcome = outcome;
    lease->done_at_us = done_at_us;
    if (outcome == STORE_OK) {
        struct script_lease script = script_lease_of(lease);
        if (reply->kind == REDIS_KIND_STRING &&
            script_lease_parse(reply->text, &script, &lease->grant, &lease->record)) {
            redis_call_date(&lease->record, done_at_us);
        } else {
            lease->outcome = STORE_BAD_REPLY;
        }
    }
    lease->done(lease);
}

static enum store_outcome start_lease(struct redis_calls *calls, struct store_lease *lease, int64_t now_us) {
    uint8_t key[STORE_KEY_MAX_BYTES], argument[SCRIPT_LEASE_ARG_MAX_BYTES];
    struct script_lease script = script_lease_of(lease);
    struct redis_call_words words = {
        .keys = {{.data = key, .len = store_key_write(&lease->name, key, sizeof key)}},
        .n_keys = 1,
        .argument = {.data = argument, .len = script_lease_pack(&script, argument, sizeof argument)},
        .part = lease->part,
        .limits_at = SCRIPT_LEASE_HEAD_BYTES,
    };
    if (words.keys[0].len == 0 || words.argument.len == 0) {
        return STORE_REFUSED;
    }
    return redis_call_start(calls, REDIS_SCRIPT_LEASE, &words, lease->deadline_us, now_us, lease_concluded,
                            lease);
}

enum store_progress redis_lease(struct store *store, struct store_lease *lease, int64_t now_us) {
    lease->outcome = start_lease(list_entry(store, struct redis_calls, store), lease, now_us);
    return lease->outcome == STORE_OK ? STORE_PENDING : STORE_DONE;
}
