/* lease.h — leases: tokens of one record that a worker takes ahead and hands out by itself, exactly.
 *
 * Pure: no clock, no I/O, no allocation. The bucket's side is what lua/lease.lua and lua/lib/record.lua do, bit
 * for bit; the worker's side is the purse. Tokens are whole tokens, taken from every limit of the record alike.
 *
 * Why the bound burst + rate * T holds to the letter. Tokens are out from when they are granted until the worker
 * tells what became of its purse, with its next call, or until the epoch (quarter of a second) after the one in
 * which they were granted ends; a purse lives shorter than that (LEASE_LIFE_US). The record knows how many are
 * out, and at every instant each level is capped at burst - out. So level + what purses still hold never exceeds
 * burst, rises by rate at most, and falls by one with each token handed out: the same as one bucket in one place.
 *
 * Refunds. Tokens that were spent out of a purse and are given back may still count as out, since nobody has told of
 * the purse: under that cap they would find no room and be lost. So the record counts what was refunded, by epochs as
 * what is out, and the cap is burst - held, held = out - given: nobody holds what was spent. Nothing is lost by the
 * cap then, since what had been spent before a refund is told or forgotten before the refund is. Where the tokens had
 * been spent otherwise, long ago or never, level + what purses hold may come to burst + given, and does not refill
 * above burst - held. So in any time T no more is admitted than burst + rate * T and what was refunded in it or in
 * the two epochs before it: as by one bucket in which refunds take effect up to half a second late.
 * What is given back because it was taken from the record a moment ago for nothing (another limit denied) is no
 * refund: nothing of it is out, so it finds the room that it left.
 *
 *   lease time    L = min(50 ms, burst / (4 * rate)), the least over the limits; 0 when that is under 2 ms
 *   there         granted while every level is 1 or more: usable from the reply until L after the call was sent
 *   to come       granted beyond that: the levels go below zero, to -rate * L at most, and only while
 *                 held <= burst, so that no cap holds up what they count on. The i-th (from 0) is usable from
 *                 the reply + time until the level reaches 1 + i / rate (of the slowest limit), until L after
 *                 the last is
 *   how many      need, what checks wait for; and extra, the worker's demand for L. There: as many as there are.
 *                 To come: up to floor(rate * L * pace / demand), at least 1, when rate * L >= 1; for extra only
 *                 when demand, by the greater of this epoch's and the last one's, exceeds the rate
 *   told          of the purse of epoch e: n tokens, u not used. out -= n and level += u, when e is this epoch or
 *                 the last and as far as they are still accounted for; else they were forgotten, and are lost
 *   refunded      g tokens: given += g, then level += g up to the cap. What was refunded in the epoch before counts
 *                 up to what was granted in it and is out; with what was refunded in this one, up to all that is out
 *
 * A purse is told at most once, however the call ends: told twice it would be refilled twice. What a lost reply
 * granted is forgotten with its epoch. */
#ifndef SLUICE_CORE_LEASE_H
#define SLUICE_CORE_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/core/bucket.h"

#define LEASE_TIME_MAX_US INT64_C(50000)
#define LEASE_TIME_MIN_US INT64_C(2000)
#define LEASE_EPOCH_US INT64_C(250000)
#define LEASE_EPOCHS_PER_S 4
#define LEASE_LIFE_US INT64_C(240000) /* no purse is used later after its call was sent */
#define LEASE_MAX_SEEN_TOKENS INT64_C(1000000000)
#define LEASE_MAX_PACE_PER_S INT64_C(100000000)
#define LEASE_MAX_DEMAND_TOKENS INT64_C(1000000000000)

/* L of a record of these limits; 0: nothing is leased ahead of need, or one of them is no token bucket. */
int64_t lease_time_us(const struct bucket_limit *limits, uint32_t n_limits);

/* ---- what a call asks and brings ---- */

/* What became of a purse. n_tokens 0: there was none. */
struct lease_told {
    int64_t epoch;
    int64_t n_tokens;
    int64_t n_unused; /* 0 ... n_tokens */
};

struct lease_wish {
    bool only_returns; /* grant nothing */
    struct lease_told told;
    int64_t need_tokens;  /* 0 ... BUCKET_MAX_TOKENS */
    int64_t extra_tokens; /* 0 ... BUCKET_MAX_TOKENS */
    int64_t seen_tokens;  /* asked of the worker since it last told: 0 ... LEASE_MAX_SEEN_TOKENS */
    int64_t pace_per_s;   /* asked of it in a second: 0 ... LEASE_MAX_PACE_PER_S */
    int64_t lease_us;     /* 0 ... LEASE_TIME_MAX_US */
};

struct lease_grant {
    int64_t epoch;
    int64_t n_there;
    int64_t n_to_come;
    int64_t delay_us; /* until the first token that is not there will be: of those to come, or to be had */
    int64_t n_others; /* that others may hold */
};

/* ---- the bucket's side ---- */

/* Beside a record that is leased from; all zero: it is not. */
struct lease_account {
    int64_t out_tokens;        /* granted in the epoch of the record's at_us */
    int64_t out_before_tokens; /* in the epoch before */
    int64_t given_tokens;      /* refunded in these two, and taken to have been spent of those */
    int64_t given_before_tokens;
    int64_t demand_tokens; /* seen in these two */
    int64_t demand_before_tokens;
};

/* Brings record and account to max(now, the record's time): one level for each limit in their order, refilled
 * and capped. What bucket_check then says and does is what check.lua says and does on such a record; one that was
 * denied need not be kept. True when the record was dated anew, the clock having stepped back. */
bool lease_refresh(struct bucket_record *record, struct lease_account *account,
                   const struct bucket_limit *limits, uint32_t n_limits, int64_t now_us);

/* What lease.lua does. `charges_utok` is NULL or of each limit. True: record and account were changed and must
 * be kept; else what they hold afterwards is only told. */
bool lease_grant_tokens(struct bucket_record *record, struct lease_account *account,
                        const struct bucket_limit *limits, uint32_t n_limits, const struct lease_wish *wish,
                        const int64_t *charges_utok, int64_t now_us, struct lease_grant *grant);

struct lease_gift {
    int64_t gain_tokens; /* below 0: they are taken, whatever the levels are */
    bool is_refund;
    int64_t booked_utok; /* out: the gain of the limit that gained or lost the least */
};

/* What give.lua does. True: changed, as above. */
bool lease_give_tokens(struct bucket_record *record, struct lease_account *account,
                       const struct bucket_limit *limits, uint32_t n_limits, struct lease_gift *gift,
                       int64_t now_us);

/* When every limit is full and nothing is out, at most BUCKET_MAX_EXACT: the record may be forgotten then. */
int64_t lease_full_at_us(const struct bucket_record *record, const struct lease_account *account,
                         const struct bucket_limit *limits, uint32_t n_limits);

/* ---- the worker's side ---- */

/* The tokens that a worker holds of one record; at most one purse of each. All zero: an empty one. */
struct lease_purse {
    int64_t epoch;
    int64_t n_there, n_to_come, n_used;
    int64_t sent_at_us;      /* the call that brought it; monotonic, as all times of a purse */
    int64_t first_at_us;     /* the first of those to come is usable from then on */
    int64_t until_us;        /* the last instant at which it is used */
    int64_t count, period_s; /* the rate at which they come */
};

/* Puts into `purse`, which is empty or was told, what a call sent at sent_at_us granted, the reply having come
 * at now_us. Whoever waits for it is served now: at now_us itself all that are there are usable, unless the reply
 * took longer than LEASE_LIFE_US. */
void lease_purse_fill(struct lease_purse *purse, const struct lease_grant *grant,
                      const struct bucket_limit *limits, uint32_t n_limits, int64_t lease_us,
                      int64_t sent_at_us, int64_t now_us);

enum lease_take {
    LEASE_TAKEN,
    LEASE_NOT_YET, /* enough tokens are to come; *when_us says at which instant */
    LEASE_EMPTY,   /* fewer than that are left, or it is over */
};
enum lease_take lease_purse_take(struct lease_purse *purse, int64_t cost_tokens, int64_t now_us,
                                 int64_t *when_us) __attribute__((warn_unused_result));

/* Of what was taken from this purse or from one before it, and not spent. Returns how many of the tokens found
 * room; the rest is lost. */
int64_t lease_purse_give_back(struct lease_purse *purse, int64_t n_tokens);

/* All that was in it was taken, or it never held anything. */
static inline bool lease_purse_is_empty(const struct lease_purse *purse) {
    return purse->n_there + purse->n_to_come == purse->n_used;
}

/* Tokens that are usable now; and those that are usable now or later. Both 0 when it is over. */
int64_t lease_purse_ready(const struct lease_purse *purse, int64_t now_us);
int64_t lease_purse_left(const struct lease_purse *purse, int64_t now_us);

/* Nothing can be taken any more. */
bool lease_purse_is_over(const struct lease_purse *purse, int64_t now_us);
/* Tokens in it were not used, and the store still accounts for them: when it is over and no call is about to tell
 * it, one is to be made for that alone. */
bool lease_purse_has_to_be_told(const struct lease_purse *purse, int64_t now_us);

/* What the next call says of the purse, which is empty from then on. */
struct lease_told lease_purse_tell(struct lease_purse *purse, int64_t now_us);

/* How much is asked of a worker for one record: every check counts, whatever became of it. All zero at first. */
struct lease_pace {
    int64_t begun_at_us; /* of the stretch that is measured; 0: none yet */
    int64_t n_stretch;   /* tokens asked for in it */
    int64_t n_seen;      /* since it was told */
    int64_t per_s;       /* of the stretches before */
};

void lease_pace_note(struct lease_pace *pace, int64_t cost_tokens, int64_t now_us);
/* Tokens asked for in a second, as far as is known. */
int64_t lease_pace_per_s(const struct lease_pace *pace, int64_t now_us);

/* The next call's wish, all of it: tells the purse and the demand, and asks for what `need_tokens` of waiting
 * checks need and what the lease time ahead will. Sent or not, purse and pace count as told. */
struct lease_wish lease_next_wish(struct lease_purse *purse, struct lease_pace *pace, int64_t need_tokens,
                                  int64_t lease_us, int64_t now_us);
/* The same when nothing is wanted any more: on expiry, on drain. */
struct lease_wish lease_last_wish(struct lease_purse *purse, struct lease_pace *pace, int64_t now_us);

#endif
