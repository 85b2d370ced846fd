/* model_store.c — the store as it should be; see model_store.h. */
#include "tests/support/model_store.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/ensure.h"
#include "server/base/list.h"

enum kind { CHECK, TAKE, GIVE, LEASE };

struct model_call {
    enum kind kind;
    int64_t executes_at_us, done_at_us;
    bool was_executed;
    void *call;
    /* what was borrowed for the time of the call */
    bool charges, has_memo, reserves;
    int64_t charges_utok[BUCKET_MAX_LIMITS];
    uint8_t memo_key[STORE_MEMO_KEY_MAX_BYTES];
    size_t memo_len;
    uint8_t fingerprint[STORE_FINGERPRINT_BYTES];
    uint8_t reservation[STORE_RESERVATION_ID_BYTES];
};

struct model_truth *model_truth_create(void) {
    return calloc(1, sizeof(struct model_truth));
}

void model_truth_destroy(struct model_truth **truth) {
    for (size_t i = 0; *truth != NULL && i < MODEL_CHAINS; i++) {
        while ((*truth)->chains[i] != NULL) {
            struct model_record *record = (*truth)->chains[i];
            (*truth)->chains[i] = record->next;
            free(record);
        }
    }
    free(*truth);
    *truth = NULL;
}

static struct model_record *find_record(const struct model_truth *truth, struct hash128 hash) {
    struct model_record *record = truth->chains[hash.low % MODEL_CHAINS];
    while (record != NULL && (record->hash.low != hash.low || record->hash.high != hash.high)) {
        record = record->next;
    }
    return record;
}

static struct model_record *record_of(struct model_truth *truth, struct hash128 hash) {
    struct model_record *record = find_record(truth, hash);
    if (record == NULL) {
        record = calloc(1, sizeof *record);
        ensure_not_null(record);
        record->hash = hash;
        record->next = truth->chains[hash.low % MODEL_CHAINS];
        truth->chains[hash.low % MODEL_CHAINS] = record;
    }
    return record;
}

int64_t model_truth_level(const struct model_truth *truth, struct hash128 hash, const struct quota_part *part,
                          int64_t now_us) {
    const struct model_record *record = find_record(truth, hash);
    if (record == NULL) {
        return part->limits[0].burst_utok / BUCKET_UTOK_PER_TOKEN;
    }
    struct model_record copy = *record;
    lease_refresh(&copy.record, &copy.account, part->limits, part->n_limits, now_us);
    int64_t utok = copy.record.levels[0].utok;
    return (utok < 0 ? utok - BUCKET_UTOK_PER_TOKEN + 1 : utok) / BUCKET_UTOK_PER_TOKEN;
}

static struct model_note *note_of(struct model_note *notes, const uint8_t *id, size_t id_len, bool is_new) {
    for (uint32_t i = 0; i < MODEL_MAX_NOTES; i++) {
        if (is_new ? !notes[i].is_used
                   : notes[i].is_used && notes[i].id_len == id_len && memcmp(notes[i].id, id, id_len) == 0) {
            if (is_new) {
                notes[i] = (struct model_note){.is_used = true, .id_len = id_len};
                memcpy(notes[i].id, id, id_len);
            }
            return &notes[i];
        }
    }
    return NULL;
}

/* ---- executing ---- */

static struct model_record *refreshed(struct model_store *model, struct hash128 hash,
                                      const struct quota_part *part, const struct model_call *call,
                                      int64_t now_us) {
    struct model_record *record = record_of(model->truth, hash);
    lease_refresh(&record->record, &record->account, part->limits, part->n_limits, now_us);
    for (uint32_t i = 0; call->charges && i < part->n_limits; i++) {
        struct bucket_level *level = &record->record.levels[i];
        level->utok -= call->charges_utok[i];
        level->utok = level->utok < -part->limits[i].burst_utok ? -part->limits[i].burst_utok : level->utok;
    }
    return record;
}

static void execute_check(struct model_store *model, struct model_call *call, int64_t now_us) {
    struct store_call *check = call->call;
    struct model_record *record = refreshed(model, check->hash, check->part, call, now_us);
    bucket_check(&record->record, check->part->limits, check->part->n_limits, check->cost_tokens, now_us,
                 check->peek, &check->verdict);
    check->record = record->record;
}

static int64_t take_at_most(struct model_record *record, struct store_take *take, int64_t now_us) {
    struct store_wish *wish = &take->wishes[0];
    int64_t cost_tokens = wish->cost_tokens;
    for (uint32_t i = 0; i < take->part->n_limits; i++) {
        int64_t there = record->record.levels[i].utok / BUCKET_UTOK_PER_TOKEN;
        cost_tokens = there < cost_tokens ? there : cost_tokens;
    }
    cost_tokens = cost_tokens < 1 ? 1 : cost_tokens;
    bucket_check(&record->record, take->part->limits, take->part->n_limits, cost_tokens, now_us, false,
                 &wish->verdict);
    return wish->verdict.allowed ? cost_tokens : 0;
}

static bool is_repeated(struct model_store *model, struct model_call *call, enum store_answer *answer,
                        struct model_note **note) {
    *answer = STORE_FRESH;
    *note = call->has_memo ? note_of(model->truth->memos, call->memo_key, call->memo_len, false) : NULL;
    if (*note == NULL) {
        return false;
    }
    bool is_same = memcmp((*note)->fingerprint, call->fingerprint, sizeof call->fingerprint) == 0;
    *answer = is_same ? STORE_REPEATED : STORE_KEY_REUSED;
    return true;
}

static struct model_note *note_answer(struct model_store *model, const struct model_call *call, int64_t tokens,
                                      const struct bucket_verdict *verdict) {
    if (!call->has_memo) {
        return NULL;
    }
    struct model_note *note = note_of(model->truth->memos, call->memo_key, call->memo_len, true);
    ensure(note != NULL, ==, true);
    memcpy(note->fingerprint, call->fingerprint, sizeof note->fingerprint);
    note->tokens = tokens;
    note->verdict = *verdict;
    return note;
}

static void note_take(struct model_store *model, const struct model_call *call, const struct store_take *take) {
    struct model_note *note = note_answer(model, call, take->granted_tokens, &take->wishes[0].verdict);
    if (note != NULL && take->elsewhere != NULL) {
        note->has_elsewhere = true;
        note->elsewhere = *take->elsewhere;
    }
}

static void execute_take(struct model_store *model, struct model_call *call, int64_t now_us) {
    struct store_take *take = call->call;
    struct model_note *note;
    if (is_repeated(model, call, &take->answer, &note)) {
        take->granted_tokens = note->tokens;
        take->wishes[0].verdict = note->verdict;
        take->has_earlier = note->has_elsewhere;
        take->earlier = note->elsewhere;
        return;
    }
    if (take->is_denied_elsewhere) {
        take->granted_tokens = 0;
        take->wishes[0].verdict = (struct bucket_verdict){0};
        if (take->elsewhere != NULL) {
            note_take(model, call, take);
        }
        return;
    }
    struct model_record *record = refreshed(model, take->hash, take->part, call, now_us);
    take->granted_tokens = take->at_most ? take_at_most(record, take, now_us) : 0;
    for (uint32_t i = 0; i < take->n_wishes && !take->at_most; i++) {
        struct store_wish *wish = &take->wishes[i];
        bucket_check(&record->record, take->part->limits, take->part->n_limits, wish->cost_tokens, now_us,
                     false, &wish->verdict);
        take->granted_tokens += wish->verdict.allowed ? wish->cost_tokens : 0;
    }
    take->record = record->record;
    if (call->reserves && take->granted_tokens > 0) {
        note = note_of(model->truth->reservations, call->reservation, sizeof call->reservation, true);
        ensure(note != NULL, ==, true);
        note->tokens = take->granted_tokens;
        memcpy(take->reservation_id, call->reservation, sizeof take->reservation_id);
    }
    note_take(model, call, take);
}

static void execute_give(struct model_store *model, struct model_call *call, int64_t now_us) {
    struct store_give *give = call->call;
    struct model_note *note;
    int64_t tokens = give->tokens;
    if (is_repeated(model, call, &give->answer, &note)) {
        give->booked_utok = note->tokens;
        give->verdict = note->verdict;
        return;
    }
    if (call->reserves) {
        note = note_of(model->truth->reservations, call->reservation, sizeof call->reservation, false);
        give->is_unknown = note == NULL;
        if (give->is_unknown) {
            return;
        }
        give->reserved_tokens = note->tokens;
        tokens = note->tokens - tokens;
        note->is_used = false;
    }
    struct model_record *record = record_of(model->truth, give->hash);
    struct lease_gift gift = {.gain_tokens = tokens, .is_refund = give->is_refund};
    lease_give_tokens(&record->record, &record->account, give->part->limits, give->part->n_limits, &gift,
                      now_us);
    give->booked_utok = gift.booked_utok;
    struct bucket_record copy = record->record;
    bucket_check(&copy, give->part->limits, give->part->n_limits, 1, now_us, true, &give->verdict);
    give->record = record->record;
    note_answer(model, call, give->booked_utok, &give->verdict);
}

static void execute_lease(struct model_store *model, struct model_call *call, int64_t now_us) {
    struct store_lease *lease = call->call;
    struct model_record *record = record_of(model->truth, lease->hash);
    lease_grant_tokens(&record->record, &record->account, lease->part->limits, lease->part->n_limits,
                       &lease->wish, call->charges ? call->charges_utok : NULL, now_us, &lease->grant);
    lease->record = record->record;
}

static void execute(struct model_store *model, struct model_call *call) {
    model->truth->n_calls++;
    call->was_executed = true;
    switch (call->kind) {
    case CHECK:
        execute_check(model, call, call->executes_at_us);
        return;
    case TAKE:
        execute_take(model, call, call->executes_at_us);
        return;
    case GIVE:
        execute_give(model, call, call->executes_at_us);
        return;
    case LEASE:
        execute_lease(model, call, call->executes_at_us);
        return;
    }
}

/* ---- concluding ---- */

static void conclude(const struct model_call *call, enum store_outcome outcome) {
    struct store_call *check = call->call;
    struct store_take *take = call->call;
    struct store_give *give = call->call;
    struct store_lease *lease = call->call;
    switch (call->kind) {
    case CHECK:
        check->outcome = outcome;
        check->done_at_us = call->done_at_us;
        check->done(check);
        return;
    case TAKE:
        take->outcome = outcome;
        take->done_at_us = call->done_at_us;
        take->done(take);
        return;
    case GIVE:
        give->outcome = outcome;
        give->done_at_us = call->done_at_us;
        give->done(give);
        return;
    case LEASE:
        lease->outcome = outcome;
        lease->done_at_us = call->done_at_us;
        lease->done(lease);
        return;
    }
}

int64_t model_store_next(const struct model_store *model) {
    int64_t next_us = INT64_MAX;
    for (uint32_t i = 0; i < model->n_calls; i++) {
        const struct model_call *call = &model->calls[i];
        int64_t at_us = call->was_executed ? call->done_at_us : call->executes_at_us;
        next_us = at_us < next_us ? at_us : next_us;
    }
    return next_us;
}

static void step(struct model_store *model, int64_t at_us) {
    for (uint32_t i = 0; i < model->n_calls; i++) {
        struct model_call *call = &model->calls[i];
        if (!call->was_executed && call->executes_at_us == at_us) {
            execute(model, call);
            return;
        }
        if (call->was_executed && call->done_at_us == at_us) {
            struct model_call done = *call;
            memmove(call, call + 1, (--model->n_calls - i) * sizeof *call);
            conclude(&done, model->loses_replies ? STORE_LOST : STORE_OK);
            return;
        }
    }
}

void model_store_run(struct model_store *model, int64_t now_us) {
    int64_t next_us;
    while ((next_us = model_store_next(model)) <= now_us) {
        step(model, next_us);
    }
}

void model_store_end(struct model_store *model) {
    model->is_down = true;
    model->failure = STORE_DOWN;
    while (model->n_calls > 0) {
        struct model_call last = model->calls[--model->n_calls];
        conclude(&last, STORE_DOWN);
    }
}

/* ---- the store ---- */

static bool refuses(const struct model_store *model, const struct bucket_name *name) {
    return model->is_down || (model->down_scopes & MODEL_SCOPE(name->scope)) != 0;
}

static struct model_store *model_of(struct store *store) {
    return list_entry(store, struct model_store, store);
}

static struct model_call *add(struct model_store *model, enum kind kind, void *call,
                              const int64_t *charges_utok, const struct quota_part *part, int64_t now_us) {
    ensure(model->n_calls, <, MODEL_MAX_CALLS);
    struct model_call *added = &model->calls[model->n_calls++];
    *added = (struct model_call){.kind = kind,
                                 .call = call,
                                 .executes_at_us = now_us + model->round_trip_us / 2,
                                 .done_at_us = now_us + model->round_trip_us,
                                 .charges = charges_utok != NULL};
    for (uint32_t i = 0; charges_utok != NULL && i < part->n_limits; i++) {
        added->charges_utok[i] = charges_utok[i];
    }
    return added;
}

static void add_memo(struct model_call *call, const struct store_memo *memo) {
    call->has_memo = memo != NULL;
    if (memo != NULL) {
        call->memo_len = memo->key.len;
        memcpy(call->memo_key, memo->key.data, memo->key.len);
        memcpy(call->fingerprint, memo->fingerprint, sizeof call->fingerprint);
    }
}

static enum store_progress model_check(struct store *store, struct store_call *check, int64_t now_us) {
    struct model_store *model = model_of(store);
    if (refuses(model, &check->name)) {
        check->outcome = model->failure;
        return STORE_DONE;
    }
    add(model, CHECK, check, check->charges_utok, check->part, now_us);
    return STORE_PENDING;
}

static enum store_progress model_take(struct store *store, struct store_take *take, int64_t now_us) {
    struct model_store *model = model_of(store);
    if (refuses(model, &take->name)) {
        take->outcome = model->failure;
        return STORE_DONE;
    }
    struct model_call *call = add(model, TAKE, take, take->charges_utok, take->part, now_us);
    add_memo(call, take->memo);
    call->reserves = take->reservation != NULL;
    if (call->reserves) {
        memcpy(call->reservation, take->reservation->id, sizeof call->reservation);
    }
    return STORE_PENDING;
}

static enum store_progress model_give(struct store *store, struct store_give *give, int64_t now_us) {
    struct model_store *model = model_of(store);
    if (refuses(model, &give->name)) {
        give->outcome = model->failure;
        return STORE_DONE;
    }
    struct model_call *call = add(model, GIVE, give, NULL, give->part, now_us);
    add_memo(call, give->memo);
    call->reserves = give->reservation_id != NULL;
    if (call->reserves) {
        memcpy(call->reservation, give->reservation_id, sizeof call->reservation);
    }
    return STORE_PENDING;
}

static enum store_progress model_lease(struct store *store, struct store_lease *lease, int64_t now_us) {
    struct model_store *model = model_of(store);
    if (refuses(model, &lease->name)) {
        lease->outcome = model->failure;
        return STORE_DONE;
    }
    add(model, LEASE, lease, lease->charges_utok, lease->part, now_us);
    return STORE_PENDING;
}

void model_store_init(struct model_store *model, struct model_truth *truth, int64_t round_trip_us) {
    static const struct store_ops ops = {.source = DECISION_STORE,
                                         .check = model_check,
                                         .take = model_take,
                                         .give = model_give,
                                         .lease = model_lease};
    *model = (struct model_store){.store.ops = &ops, .truth = truth, .round_trip_us = round_trip_us};
    model->calls = calloc(MODEL_MAX_CALLS, sizeof *model->calls);
    ensure(model->calls != NULL, ==, true);
}

void model_store_deinit(struct model_store *model) {
    free(model->calls);
    model->calls = NULL;
}
