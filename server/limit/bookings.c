/* bookings.c — calls that are done once, reservations, and what is given back.
 *
 * A take that has an idempotency key, or reserves, goes to the first record of the quota by itself, when the others
 * have granted: the note is written by the same script that takes the tokens. So of two calls with one key, whichever
 * frontends they reach, one takes; the other one is told its answer and gives back what it took of the other records.
 * When one of the others has denied it, a call with a key goes to the first record all the same, and takes nothing there:
 * if it was answered before, so it is again, and if not its denial is noted. What the others came to is kept with every
 * note, so that a repeat can be told which limit decided. If the first record cannot be asked, the denial stands without a
 * note; one by a local bucket or a policy is never noted.
 *
 * A refund or a settlement asks the first record, which knows whether it was done before or which reservation is
 * meant; then the others are given the same. */
#include <stdlib.h>
#include <string.h>

#include "server/base/ensure.h"
#include "server/limit/limiter_state.h"

/* So much longer than asked for a reservation is kept that is to go back: whoever returns it finds it. */
#define RETURN_GRACE_US INT64_C(10000000)
#define RETURN_AGAIN_US INT64_C(1000000)

enum { MAX_RETURNS_IN_TURN = 256 };

struct gift {
    struct store_give give;
    struct booking *booking;
};

struct booking {
    struct limiter_call *call;
    struct store_memo memo;
    struct store_take take;
    struct store_wish wish;
    struct store_reservation reservation;
    struct store_elsewhere elsewhere;
    uint32_t n_gifts;
    struct gift gifts[]; /* of refunds and settlements: one for each part */
};

/* ---- what is asked for, as one number: the same on every frontend ---- */

struct fingerprint {
    uint8_t bytes[2 * sizeof(uint32_t) + 4 * sizeof(int64_t) + STORE_RESERVATION_ID_BYTES];
    size_t len;
};

static void add(struct fingerprint *fingerprint, const void *bytes, size_t n_bytes) {
    ensure(fingerprint->len + n_bytes, <=, sizeof fingerprint->bytes);
    memcpy(fingerprint->bytes + fingerprint->len, bytes, n_bytes);
    fingerprint->len += n_bytes;
}

static void write_memo(struct store_memo *memo, const struct limiter_call *call) {
    struct fingerprint text = {.len = 0};
    uint32_t kind = (uint32_t)call->kind,
             flags = (uint32_t)call->at_most + 2 * (uint32_t)call->returns_on_timeout;
    struct bucket_name name =
        bucket_name_of(BUCKET_PER_KEY, call->names.tenant, call->names.resource, call->names.key);
    struct hash128 whose = bucket_name_hash(&name, 0);
    add(&text, &kind, sizeof kind);
    add(&text, &flags, sizeof flags);
    add(&text, &call->cost_tokens, sizeof call->cost_tokens);
    add(&text, &call->ttl_us, sizeof call->ttl_us);
    add(&text, &whose, sizeof whose);
    if (call->kind == LIMITER_SETTLE) {
        add(&text, call->reservation, sizeof call->reservation);
    }
    struct hash128 hash = hash_bytes_wide(text.bytes, text.len, 0);
    memo->key = call->names.idempotency_key;
    memo->ttl_us = LIMITER_MEMO_US;
    memcpy(memo->fingerprint, &hash, sizeof memo->fingerprint);
}

/* ---- takes ---- */

bool bookings_wants(const struct limiter_call *call) {
    bool has_part = call->at_most && !call->claims[0].is_leased; /* a plain check takes all or nothing */
    return call->kind == LIMITER_RESERVE || bookings_remembers(call) || has_part;
}

bool bookings_remembers(const struct limiter_call *call) {
    return call->idempotency_key.len > 0;
}

/* What the reservation held goes back by itself when its time is over. */
static void plan_return(struct limiter_call *call, int64_t now_us) {
    struct due due = {.at_us = now_us + call->ttl_us,
                      .until_us = now_us + call->ttl_us + RETURN_GRACE_US,
                      .tenant = call->names.tenant,
                      .resource = call->names.resource,
                      .key = call->names.key};
    memcpy(due.reservation, call->reservation, sizeof due.reservation);
    if (!returns_add(&call->limiter->returns, &due)) {
        metric_inc(&call->limiter->metrics->not_returned);
    }
}

/* So that the local bucket begins as the store's stands. */
static void note_record(const struct limiter_call *call, const struct store_take *take, int64_t now_us) {
    struct fallback *fallback = call->limiter->options.fallback;
    if (fallback != NULL && call->quota->on_store_failure == QUOTA_FAILS_LOCAL) {
        fallback_note(fallback, take->hash, take->part, &take->record, take->wishes[0].verdict.full_after_us,
                      now_us);
    }
}

/* The first record's, of now or of then. */
static void take_answer(struct limiter_call *call, const struct store_take *take) {
    struct claim *claim = &call->claims[0];
    claim->source = call->limiter->store->ops->source;
    claim->verdict = take->wishes[0].verdict;
    claim->granted_tokens = take->granted_tokens < call->cost_tokens ? take->granted_tokens : call->cost_tokens;
    if (claim->verdict.allowed && call->kind == LIMITER_RESERVE) {
        memcpy(call->reservation, take->reservation_id, sizeof call->reservation);
    }
}

/* By this call, the first of its key: here, unless the others have denied it. */
static void end_first(struct limiter_call *call, const struct store_take *take, int64_t now_us) {
    if (!take->is_denied_elsewhere) {
        take_answer(call, take);
        note_record(call, take, now_us);
        if (call->claims[0].verdict.allowed && call->kind == LIMITER_RESERVE && call->returns_on_timeout) {
            plan_return(call, now_us);
        }
    }
    checks_decide(call, now_us);
}

/* Everything is decided: by this call, or by an earlier one, and then what was taken of the others goes back. */
static void end_answered(struct limiter_call *call, const struct store_take *take, int64_t now_us) {
    switch (take->answer) {
    case STORE_FRESH:
        end_first(call, take, now_us);
        break;
    case STORE_REPEATED:
        take_answer(call, take);
        checks_recall(call, take->has_earlier ? &take->earlier : NULL, now_us);
        break;
    case STORE_KEY_REUSED:
        call->outcome = LIMITER_KEY_REUSED;
        call->claims[0].granted_tokens = 0;
        checks_drop(call, now_us);
        break;
    }
}

static void end_take(struct limiter_call *call, int64_t now_us) {
    struct booking *booking = call->booking_call;
    if (booking->take.outcome == STORE_OK) {
        end_answered(call, &booking->take, now_us);
    } else {
        call->claims[0].outcome = booking->take.outcome;
        checks_decide(call, now_us);
    }
    call->booking_call = NULL;
    free(booking);
}

static void take_on_done(struct store_take *take) {
    struct limiter_call *call = list_entry(take, struct booking, take)->call;
    int64_t now_us = take->done_at_us;
    end_take(call, now_us);
    limiter_finish(call, now_us);
}

static int64_t deadline_of(const struct limiter_call *call, int64_t now_us) {
    int64_t latest_us = now_us + call->limiter->options.store_timeout_us;
    return call->store_deadline_us < latest_us ? call->store_deadline_us : latest_us;
}

static void write_take(struct booking *booking, struct limiter_call *call, bool is_denied, int64_t now_us) {
    const struct claim *claim = &call->claims[0];
    bool is_remembered = bookings_remembers(call);
    bool has_sum = is_remembered && checks_sum_up(call, !is_denied, &booking->elsewhere);
    int64_t grace_us = call->returns_on_timeout ? RETURN_GRACE_US : 0;
    booking->call = call;
    booking->wish.cost_tokens = claim->cost_tokens;
    booking->reservation.ttl_us = call->ttl_us + grace_us;
    memcpy(booking->reservation.id, call->reservation, sizeof booking->reservation.id);
    write_memo(&booking->memo, call);
    booking->take = (struct store_take){
        .part = claim->part,
        .name = claim->name,
        .hash = claim->hash,
        .wishes = &booking->wish,
        .n_wishes = 1,
        .at_most = call->at_most,
        .memo = is_remembered ? &booking->memo : NULL,
        .reservation = call->kind == LIMITER_RESERVE ? &booking->reservation : NULL,
        .elsewhere = has_sum ? &booking->elsewhere : NULL,
        .is_denied_elsewhere = is_denied,
        .deadline_us = deadline_of(call, now_us),
        .done = take_on_done,
    };
}

enum limiter_progress bookings_take(struct limiter_call *call, bool is_denied, int64_t now_us) {
    call->booking_call = calloc(1, sizeof *call->booking_call);
    if (call->booking_call == NULL) {
        call->claims[0].outcome = STORE_NO_MEMORY;
        checks_decide(call, now_us);
        return LIMITER_DONE;
    }
    write_take(call->booking_call, call, is_denied, now_us);
    if (store_take(call->limiter->store, &call->booking_call->take, now_us) == STORE_PENDING) {
        return LIMITER_PENDING;
    }
    end_take(call, now_us);
    return LIMITER_DONE;
}

/* ---- refunds and settlements ---- */

/* The least that any record took up or gave, and the limit with the least left. */
static void describe(struct limiter_call *call, const struct booking *booking) {
    struct limiter_booking *result = &call->booking;
    int64_t least_utok = 0;
    bool is_first = true;
    result->matched = true;
    for (uint32_t i = 0; i < booking->n_gifts; i++) {
        const struct store_give *give = &booking->gifts[i].give;
        if (give->outcome != STORE_OK) {
            continue;
        }
        int64_t remaining_utok = give->verdict.remaining_utok > 0 ? give->verdict.remaining_utok : 0;
        uint32_t limit = give->part->first_limit + give->verdict.limit_index;
        if (is_first || remaining_utok / BUCKET_UTOK_PER_TOKEN < result->remaining_tokens) {
            result->limit_name = call->quota->limit_names[limit];
            result->limit_tokens = call->quota->limits[limit].burst_utok / BUCKET_UTOK_PER_TOKEN;
            result->remaining_tokens = remaining_utok / BUCKET_UTOK_PER_TOKEN;
        }
        bool is_less = give->booked_utok < 0 ? give->booked_utok > least_utok : give->booked_utok < least_utok;
        least_utok = is_first || is_less ? give->booked_utok : least_utok;
        is_first = false;
    }
    result->returned_tokens = least_utok > 0 ? least_utok / BUCKET_UTOK_PER_TOKEN : 0;
    result->taken_tokens = least_utok < 0 ? -least_utok / BUCKET_UTOK_PER_TOKEN : 0;
}

static void end_give(struct limiter_call *call) {
    struct booking *booking = call->booking_call;
    const struct store_give *first = &booking->gifts[0].give;
    if (first->outcome != STORE_OK) {
        call->outcome = LIMITER_UNDECIDED;
        call->store_outcome = first->outcome;
    } else if (first->answer == STORE_KEY_REUSED) {
        call->outcome = LIMITER_KEY_REUSED;
    } else if (first->is_unknown) {
        call->outcome = LIMITER_NOT_FOUND;
    } else {
        describe(call, booking);
        call->booking.repeated = first->answer == STORE_REPEATED;
    }
    call->booking_call = NULL;
    free(booking);
}

static void gift_on_done(struct store_give *give);

/* Were the tokens spent, and maybe out of a lease? Of the first record a reservation is taken without one, and so may be
 * what is undone, which was for nothing: that finds the room that it left, and no more. */
static bool is_refund(const struct limiter_call *call, uint32_t i) {
    if (i > 0) {
        return true;
    }
    return call->kind != LIMITER_SETTLE && (!call->is_undo || call->undo_is_from_purse);
}

/* True: pending. */
static bool start_gift(struct booking *booking, uint32_t i, int64_t tokens, int64_t now_us) {
    struct limiter_call *call = booking->call;
    struct gift *gift = &booking->gifts[i];
    bool settles = i == 0 && call->kind == LIMITER_SETTLE;
    const struct quota_part *part = &call->quota->parts[i];
    gift->booking = booking;
    gift->give = (struct store_give){
        .part = part,
        .name = limiter_name_of(call, part),
        .tokens = tokens,
        .reservation_id = settles ? call->reservation : NULL,
        .is_refund = is_refund(call, i),
        .memo = i == 0 && bookings_remembers(call) ? &booking->memo : NULL,
        .deadline_us = deadline_of(call, now_us),
        .done = gift_on_done,
    };
    gift->give.hash = bucket_name_hash(&gift->give.name, call->limiter->options.seed);
    if (store_give(call->limiter->store, &gift->give, now_us) == STORE_PENDING) {
        call->n_pending++;
        return true;
    }
    return false;
}

/* The first record has booked it, and for the first time: so do the others. True: pending. */
static bool give_to_others(struct booking *booking, int64_t now_us) {
    struct limiter_call *call = booking->call;
    const struct store_give *first = &booking->gifts[0].give;
    int64_t tokens =
        call->kind == LIMITER_SETTLE ? first->reserved_tokens - call->cost_tokens : call->cost_tokens;
    if (first->outcome != STORE_OK || first->answer != STORE_FRESH || first->is_unknown || tokens == 0) {
        return false;
    }
    bool is_pending = false;
    for (uint32_t i = 1; i < call->quota->n_parts; i++) {
        booking->n_gifts++;
        is_pending = start_gift(booking, i, tokens, now_us) || is_pending;
    }
    return is_pending;
}

static void gift_on_done(struct store_give *give) {
    struct booking *booking = list_entry(give, struct gift, give)->booking;
    struct limiter_call *call = booking->call;
    int64_t now_us = give->done_at_us;
    accounts_forget_denial(call->limiter->accounts, give->hash); /* it was decided before this was done */
    call->n_pending--;
    if (give == &booking->gifts[0].give && give_to_others(booking, now_us)) {
        return;
    }
    if (call->n_pending == 0) {
        end_give(call);
        limiter_finish(call, now_us);
    }
}

/* The caller's bytes are copied: the others are asked when those may be gone. */
static struct booking *create_gifts(struct limiter_call *call) {
    uint32_t n = call->quota->n_parts;
    size_t n_gift_bytes = n * sizeof(struct gift);
    struct booking *booking = calloc(1, sizeof *booking + n_gift_bytes + limiter_names_bytes(call));
    if (booking != NULL) {
        booking->call = call;
        booking->n_gifts = 1;
        write_memo(&booking->memo, call);
        limiter_copy_names(call, (uint8_t *)booking + sizeof *booking + n_gift_bytes);
    }
    return booking;
}

/* What local buckets granted goes back to them; where a policy allowed it, none was asked. */
static void undo_locally(const struct limiter_call *call, int64_t now_us) {
    bool is_local =
        call->limiter->options.fallback != NULL && call->quota->on_store_failure == QUOTA_FAILS_LOCAL;
    for (uint32_t i = 0; is_local && i < call->quota->n_parts; i++) {
        const struct quota_part *part = &call->quota->parts[i];
        struct bucket_name name = limiter_name_of(call, part);
        fallback_give_back(call->limiter->options.fallback,
                           bucket_name_hash(&name, call->limiter->options.seed), part, call->cost_tokens,
                           now_us);
    }
}

enum limiter_progress bookings_give(struct limiter_call *call, int64_t now_us) {
    if (call->is_undo && call->undo_source == DECISION_LOCAL) {
        undo_locally(call, now_us);
        call->booking.matched = true;
        call->booking.returned_tokens = call->cost_tokens;
        return LIMITER_DONE;
    }
    struct booking *booking = create_gifts(call);
    if (booking == NULL) {
        call->outcome = LIMITER_UNDECIDED;
        call->store_outcome = STORE_NO_MEMORY;
        return LIMITER_DONE;
    }
    call->booking_call = booking;
    if (start_gift(booking, 0, call->cost_tokens, now_us) || give_to_others(booking, now_us)) {
        return LIMITER_PENDING;
    }
    end_give(call);
    return LIMITER_DONE;
}

/* ---- reservations whose time is over ---- */

struct timeout {
    struct limiter_call call;
    struct due *due;
};

/* The store could not be asked: again in a second, while it still knows the reservation. */
static void put_off(struct limiter *limiter, struct due *due) {
    due->at_us += RETURN_AGAIN_US;
    if (due->at_us > due->until_us || !returns_add(&limiter->returns, due)) {
        metric_inc(&limiter->metrics->not_returned);
    }
}

static void timeout_on_done(struct limiter_call *call) {
    struct timeout *timeout = list_entry(call, struct timeout, call);
    if (call->outcome == LIMITER_DECIDED) {
        metric_inc(&call->limiter->metrics->timeouts);
    } else if (call->outcome == LIMITER_UNDECIDED) {
        put_off(call->limiter, timeout->due);
    }
    free(timeout->due);
    free(timeout);
}

void bookings_tick(struct limiter *limiter, int64_t now_us) {
    struct due *due;
    for (int n = 0; n < MAX_RETURNS_IN_TURN && (due = returns_take(&limiter->returns, now_us)) != NULL; n++) {
        struct timeout *timeout = calloc(1, sizeof *timeout);
        if (timeout == NULL) {
            metric_inc(&limiter->metrics->not_returned);
            free(due);
            continue;
        }
        timeout->due = due;
        timeout->call = (struct limiter_call){
            .tenant = due->tenant,
            .resource = due->resource,
            .key = due->key,
            .kind = LIMITER_SETTLE,
            .deadline_us = now_us + RETURN_GRACE_US / 2,
            .done = timeout_on_done,
        };
        memcpy(timeout->call.reservation, due->reservation, sizeof timeout->call.reservation);
        if (limiter_check(limiter, &timeout->call, now_us) == LIMITER_DONE) {
            timeout_on_done(&timeout->call);
        }
    }
}
