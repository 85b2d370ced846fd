/* account.h — one record as a worker sees it; for accounts*.c alone. */
#ifndef SLUICE_LIMIT_ACCOUNT_H
#define SLUICE_LIMIT_ACCOUNT_H

#include "server/core/denied.h"
#include "server/core/lease.h"
#include "server/core/quota.h"
#include "server/limit/accounts.h"

enum {
    ACCOUNT_TEXT_BYTES = QUOTA_TENANT_MAX_BYTES + QUOTA_RESOURCE_MAX_BYTES + QUOTA_KEY_MAX_BYTES,
    ACCOUNT_MAX_ASKED = 64,
};

enum account_call { ACCOUNT_ASKS_NOTHING, ACCOUNT_CHECKS, ACCOUNT_TAKES, ACCOUNT_LEASES };

struct account {
    struct account *next; /* in the chain of its hash, or among the free */
    struct accounts *owner;
    struct hash128 hash;
    struct bucket_name name; /* its texts are in `texts` */
    struct quota *quota;     /* held */
    const struct quota_part *part;
    bool is_listed;  /* in the chain; else nobody joins it */
    uint32_t n_pins; /* claims of it are being told */
    /* who waits */
    struct list waiting; /* for the next call */
    struct list asked;   /* for the one under way */
    uint32_t n_asked;
    bool wants_lease; /* of those who wait, one is worth it */
    /* the call under way */
    enum account_call asks;
    int64_t asked_at_us, deadline_us;
    int64_t debt_utok; /* told with it */
    bool
        is_outdated; /* the record was deleted meanwhile: what the call brings is for those who wait for it alone */
    union {
        struct store_call check;
        struct store_take take;
        struct store_lease lease;
    } call;
    struct store_wish *wishes; /* of a take; else NULL */
    /* tokens of a lease */
    struct list in_leased; /* from its first lease on */
    int64_t used_at_us;    /* when a claim came last */
    struct lease_purse purse;
    struct lease_pace pace;
    uint32_t purse_number; /* counts purses */
    uint32_t n_forgotten;  /* of the purses up to this one nothing is told any more */
    int64_t n_held;        /* tokens that claims which are one of many hold, of this purse or of earlier ones */
    int64_t n_held_now;    /* of this purse: they are told once it is known what became of them */
    struct lease_told late[2]; /* what became of those of earlier purses, by their epochs: one even, one odd */
    /* as the store said with the last lease */
    struct bucket_verdict standing;
    int64_t standing_at_us;
    int64_t standing_token_us; /* in which that limit gains a token, rounded down */
    uint8_t texts[ACCOUNT_TEXT_BYTES];
};

struct accounts {
    struct accounts_options options;
    struct denied *denied;
    struct list leased;
    int64_t round_trip_us; /* of calls that were answered, smoothed */
    int64_t next_look_us;
    bool is_draining;
    uint32_t n_accounts, n_free;
    struct account *free;
    struct account *chains[];
};

/* Something of an earlier purse is still to be told. */
static inline bool account_has_late(const struct account *account) {
    return account->late[0].n_tokens > 0 || account->late[1].n_tokens > 0;
}

/* So many tokens of a purse of that epoch are resolved; told with one of the next calls. */
void account_add_late(struct account *account, int64_t epoch, int64_t n_tokens, int64_t n_unused);

/* Starts a call for up to ACCOUNT_MAX_ASKED of those who wait. When it is decided at once, account_on_done is called
 * before this returns. */
void account_ask(struct account *account, int64_t now_us);
/* Returns what is left in the purse, and what is late, by a call that nobody waits for. False when there is nothing. */
bool account_return(struct account *account, int64_t now_us);
/* The call is over, and those who were asked for have their answers. */
void account_on_done(struct account *account, int64_t now_us);

/* Is the part decided by the same limits? Quotas may share a record. */
bool account_fits(const struct account *account, const struct quota_part *part);
/* By what denials of the limits of this part of the quota are known: that of other limits says nothing. */
uint64_t account_revision(const struct quota *quota, const struct quota_part *part);
/* What it holds is nothing any more, and nobody is told of it. */
void account_forget_tokens(struct account *account);

/* Takes all of the cost out of the purse, or says when it will be there; false: the store is to be asked. */
bool account_draw(struct account *account, int64_t cost_tokens, int64_t now_us, struct bucket_verdict *verdict);
/* The same, as the answer to a claim. */
bool account_take_from_purse(struct account *account, struct claim *claim, int64_t now_us);

#endif
