/* embedded_call.c — take and give inside the process, with notes of what must not be done twice; see embedded_call.h. */
#include "server/store/embedded_call.h"

#include <string.h>

#include "server/base/list.h"
#include "server/store/replay.h"

/* What is remembered of an idempotency key, or a reservation. */
struct note {
    uint8_t fingerprint[STORE_FINGERPRINT_BYTES];
    uint8_t reservation_id[STORE_RESERVATION_ID_BYTES];
    bool is_unknown;
    int64_t tokens; /* granted, or reserved */
    int64_t booked_utok;
    struct bucket_verdict verdict;
    bool has_elsewhere;
    struct store_elsewhere elsewhere;
};

enum note_kind { NOTE_MEMO, NOTE_RESERVATION };

static struct embedded_store *embedded_of(struct store *store) {
    return list_entry(store, struct embedded_store, store);
}

/* Of a record's note: the record's hash is seeded, so nobody can aim at it. */
static struct hash128 note_hash(struct hash128 record, enum note_kind kind, struct bytes name) {
    uint8_t text[sizeof record + 1 + STORE_MEMO_KEY_MAX_BYTES];
    memcpy(text, &record, sizeof record);
    text[sizeof record] = (uint8_t)kind;
    memcpy(text + sizeof record + 1, name.data, name.len);
    return hash_bytes_wide(text, sizeof record + 1 + name.len, record.low);
}

static bool is_named(const struct store_memo *memo) {
    return memo->key.len >= 1 && memo->key.len <= STORE_MEMO_KEY_MAX_BYTES;
}

/* The notes that a call needs, claimed before anything is done. */
struct claimed {
    struct note *memo, *reservation;
};

/* STORE_OK: `note` is that of an earlier call, or NULL. */
static enum store_outcome find_memo(struct embedded_store *embedded, const struct store_memo *memo,
                                    struct hash128 record, int64_t now_us, struct note **note) {
    *note = NULL;
    if (memo == NULL) {
        return STORE_OK;
    }
    if (!is_named(memo)) {
        return STORE_REFUSED;
    }
    *note = notes_find(embedded->notes, note_hash(record, NOTE_MEMO, memo->key), now_us);
    return STORE_OK;
}

/* Of a call that is the first of its key, or has none: then STORE_OK, and NULL. */
static enum store_outcome add_memo(struct embedded_store *embedded, const struct store_memo *memo,
                                   struct hash128 record, int64_t now_us, struct note **note) {
    *note = NULL;
    if (memo == NULL) {
        return STORE_OK;
    }
    *note = notes_add(embedded->notes, note_hash(record, NOTE_MEMO, memo->key), now_us, now_us + memo->ttl_us);
    if (*note == NULL) {
        return STORE_FULL;
    }
    memcpy((*note)->fingerprint, memo->fingerprint, STORE_FINGERPRINT_BYTES);
    return STORE_OK;
}

static struct hash128 reservation_hash(struct hash128 record, const uint8_t *id) {
    return note_hash(record, NOTE_RESERVATION, (struct bytes){.data = id, .len = STORE_RESERVATION_ID_BYTES});
}

/* False: memory is short. */
static bool has_notes(struct embedded_store *embedded, bool are_wanted) {
    if (are_wanted && embedded->notes == NULL) {
        embedded->notes = notes_create(embedded->max_notes, sizeof(struct note));
    }
    return !are_wanted || embedded->notes != NULL;
}

static enum store_answer answer_of(const struct note *memo, const struct store_memo *asked) {
    bool is_same = memcmp(memo->fingerprint, asked->fingerprint, STORE_FINGERPRINT_BYTES) == 0;
    return is_same ? STORE_REPEATED : STORE_KEY_REUSED;
}

/* The quota may have fewer limits by now: then the answer stands, and the first one is named for it. */
static struct bucket_verdict verdict_of(const struct note *memo, const struct quota_part *part) {
    struct bucket_verdict verdict = memo->verdict;
    verdict.limit_index = verdict.limit_index < part->n_limits ? verdict.limit_index : 0;
    return verdict;
}

static void unclaim(const struct claimed *claimed) {
    if (claimed->memo != NULL) {
        notes_remove(claimed->memo);
    }
    if (claimed->reservation != NULL) {
        notes_remove(claimed->reservation);
    }
}

/* ---- take ---- */

static void take_again(struct store_take *take, const struct note *memo) {
    take->answer = answer_of(memo, take->memo);
    if (take->answer == STORE_REPEATED) {
        take->granted_tokens = memo->tokens;
        take->wishes[0].verdict = verdict_of(memo, take->part);
        take->has_earlier = memo->has_elsewhere;
        take->earlier = memo->elsewhere;
        memcpy(take->reservation_id, memo->reservation_id, STORE_RESERVATION_ID_BYTES);
    }
}

/* False: memory is short, and nothing was done. */
static bool take_now(struct embedded_store *embedded, struct store_take *take, int64_t now_us) {
    struct embedded_record loaded;
    if (!embedded_load(embedded, take->part, take->hash, now_us, &loaded)) {
        return false;
    }
    bool changed = false;
    int64_t full_after_us = 0;
    take->answer = STORE_FRESH;
    take->granted_tokens = replay_take(take, &loaded.record, now_us);
    for (uint32_t i = 0; i < take->n_wishes; i++) {
        if (take->wishes[i].verdict.changed) {
            changed = true;
            full_after_us = take->wishes[i].verdict.full_after_us;
        }
    }
    if (changed) {
        embedded_save(embedded, take->hash, &loaded, now_us + full_after_us);
    }
    return true;
}

static void note_take(const struct store_take *take, const struct claimed *claimed) {
    if (claimed->reservation != NULL) {
        claimed->reservation->tokens = take->granted_tokens;
        if (take->granted_tokens == 0) {
            notes_remove(claimed->reservation);
        }
    }
    if (claimed->memo != NULL) {
        claimed->memo->tokens = take->granted_tokens;
        claimed->memo->verdict = take->wishes[0].verdict;
        claimed->memo->has_elsewhere = take->elsewhere != NULL;
        if (take->elsewhere != NULL) {
            claimed->memo->elsewhere = *take->elsewhere;
        }
        memcpy(claimed->memo->reservation_id, take->reservation_id, STORE_RESERVATION_ID_BYTES);
    }
}

/* Nothing is taken; whoever asks again is told the same, if it is said whose denial it was. */
static enum store_outcome deny_take(struct embedded_store *embedded, struct store_take *take, int64_t now_us) {
    struct claimed claimed = {0};
    take->answer = STORE_FRESH;
    take->granted_tokens = 0;
    take->wishes[0].verdict = (struct bucket_verdict){.allowed = false};
    if (take->elsewhere == NULL) {
        return STORE_OK;
    }
    enum store_outcome outcome = add_memo(embedded, take->memo, take->hash, now_us, &claimed.memo);
    if (outcome == STORE_OK) {
        note_take(take, &claimed);
    }
    return outcome;
}

static enum store_outcome decide_take(struct embedded_store *embedded, struct store_take *take,
                                      int64_t now_us) {
    struct claimed claimed = {0};
    struct note *earlier;
    if (!has_notes(embedded, take->memo != NULL || take->reservation != NULL)) {
        return STORE_NO_MEMORY;
    }
    enum store_outcome outcome = find_memo(embedded, take->memo, take->hash, now_us, &earlier);
    if (outcome != STORE_OK) {
        return outcome;
    }
    if (earlier != NULL) {
        take_again(take, earlier);
        return STORE_OK;
    }
    if (take->is_denied_elsewhere) {
        return deny_take(embedded, take, now_us);
    }
    outcome = add_memo(embedded, take->memo, take->hash, now_us, &claimed.memo);
    if (outcome != STORE_OK) {
        return outcome;
    }
    if (take->reservation != NULL) {
        struct hash128 hash = reservation_hash(take->hash, take->reservation->id);
        claimed.reservation = notes_add(embedded->notes, hash, now_us, now_us + take->reservation->ttl_us);
        if (claimed.reservation == NULL) {
            unclaim(&claimed);
            return STORE_FULL;
        }
        memcpy(take->reservation_id, take->reservation->id, STORE_RESERVATION_ID_BYTES);
    }
    if (!take_now(embedded, take, now_us)) {
        unclaim(&claimed);
        return STORE_NO_MEMORY;
    }
    note_take(take, &claimed);
    return STORE_OK;
}

enum store_progress embedded_take(struct store *store, struct store_take *take, int64_t now_us) {
    take->outcome = decide_take(embedded_of(store), take, now_us);
    return STORE_DONE;
}

/* ---- give ---- */

static void give_again(struct store_give *give, const struct note *memo) {
    give->answer = answer_of(memo, give->memo);
    if (give->answer == STORE_REPEATED) {
        give->is_unknown = memo->is_unknown;
        give->reserved_tokens = memo->tokens;
        give->booked_utok = memo->booked_utok;
        give->verdict = verdict_of(memo, give->part);
    }
}

/* False: memory is short, and nothing was done. */
static bool give_now(struct embedded_store *embedded, struct store_give *give, int64_t now_us) {
    struct embedded_record loaded;
    int64_t gains_utok[BUCKET_MAX_LIMITS];
    bool settles = give->reservation_id != NULL;
    int64_t gain_tokens = settles ? give->reserved_tokens - give->tokens : give->tokens;
    if (!embedded_load(embedded, give->part, give->hash, now_us, &loaded)) {
        return false;
    }
    for (uint32_t i = 0; i < give->part->n_limits; i++) {
        gains_utok[i] = gain_tokens * BUCKET_UTOK_PER_TOKEN;
    }
    give->booked_utok = 0;
    bool changes = gain_tokens < 0 || (gain_tokens > 0 && loaded.record.n_levels > 0);
    if (changes) {
        give->booked_utok =
            bucket_book(&loaded.record, give->part->limits, give->part->n_limits, gains_utok, now_us);
    }
    replay_give(give, &loaded.record, now_us);
    if (changes) {
        embedded_save(embedded, give->hash, &loaded, now_us + give->verdict.full_after_us);
    }
    return true;
}

static enum store_outcome decide_give(struct embedded_store *embedded, struct store_give *give,
                                      int64_t now_us) {
    struct claimed claimed = {0};
    struct note *reservation = NULL, *earlier;
    bool settles = give->reservation_id != NULL;
    if (!has_notes(embedded, give->memo != NULL || settles)) {
        return STORE_NO_MEMORY;
    }
    enum store_outcome outcome = find_memo(embedded, give->memo, give->hash, now_us, &earlier);
    if (outcome != STORE_OK) {
        return outcome;
    }
    if (earlier != NULL) {
        give_again(give, earlier);
        return STORE_OK;
    }
    outcome = add_memo(embedded, give->memo, give->hash, now_us, &claimed.memo);
    if (outcome != STORE_OK) {
        return outcome;
    }
    if (settles) {
        reservation = notes_find(embedded->notes, reservation_hash(give->hash, give->reservation_id), now_us);
    }
    give->answer = STORE_FRESH;
    give->is_unknown = settles && reservation == NULL;
    give->reserved_tokens = reservation != NULL ? reservation->tokens : 0;
    if (!give->is_unknown && !give_now(embedded, give, now_us)) {
        unclaim(&claimed);
        return STORE_NO_MEMORY;
    }
    if (reservation != NULL) {
        notes_remove(reservation);
    }
    if (claimed.memo != NULL) {
        claimed.memo->is_unknown = give->is_unknown;
        claimed.memo->tokens = give->reserved_tokens;
        claimed.memo->booked_utok = give->booked_utok;
        claimed.memo->verdict = give->verdict;
    }
    return STORE_OK;
}

enum store_progress embedded_give(struct store *store, struct store_give *give, int64_t now_us) {
    give->outcome = decide_give(embedded_of(store), give, now_us);
    return STORE_DONE;
}
