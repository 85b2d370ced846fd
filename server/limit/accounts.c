/* accounts.c — finds the account of a claim's record, and tells claims what came of them; see accounts.h. */
#include "server/limit/accounts.h"

#include <stdlib.h>
#include <string.h>

#include "server/base/ensure.h"
#include "server/limit/account.h"

enum {
    N_CHAINS = 4096,
    MAX_FREE = 256,
    MAX_LINGERING = 4096, /* accounts, until leased ones are dropped as soon as nobody needs them */
    NO_PURSE = 0,
    LEAST_TIME_PART = 8, /* of the store's time, which who has waited has left: else it is not asked any more */
};

#define LINGER_US INT64_C(500000)

#define LOOK_EVERY_US INT64_C(5000)

struct accounts *accounts_create(const struct accounts_options *options) {
    struct accounts *accounts = calloc(1, sizeof *accounts + N_CHAINS * sizeof accounts->chains[0]);
    if (accounts == NULL) {
        return NULL;
    }
    accounts->options = *options;
    list_init(&accounts->leased);
    accounts->denied = denied_create();
    if (accounts->denied == NULL) {
        accounts_destroy(&accounts);
    }
    return accounts;
}

/* ---- the chains ---- */

static struct account **chain_of(struct accounts *accounts, struct hash128 hash) {
    return &accounts->chains[hash.high % N_CHAINS];
}

static struct account *find(struct accounts *accounts, struct hash128 hash) {
    struct account *account = *chain_of(accounts, hash);
    while (account != NULL && (account->hash.high != hash.high || account->hash.low != hash.low)) {
        account = account->next;
    }
    return account;
}

static void unlist(struct account *account) {
    struct account **at = chain_of(account->owner, account->hash);
    while (*at != account) {
        at = &(*at)->next;
    }
    *at = account->next;
    account->is_listed = false;
}

static void copy_name(struct account *account, const struct bucket_name *name) {
    uint8_t *at = account->texts;
    ensure(name->tenant.len + name->resource.len + name->key.len, <=, sizeof account->texts);
    account->name.scope = name->scope;
    account->name.tenant = bytes_copy(&at, name->tenant);
    account->name.resource = bytes_copy(&at, name->resource);
    account->name.key = bytes_copy(&at, name->key);
}

/* Only the count of holds changes. */
static struct quota *hold_quota(const struct quota *quota) {
    return quota_hold((struct quota *)(uintptr_t)quota);
}

static struct account *borrow(struct accounts *accounts) {
    struct account *account = accounts->free;
    if (account == NULL) {
        return malloc(sizeof *account);
    }
    accounts->free = account->next;
    accounts->n_free--;
    return account;
}

static struct account *create(struct accounts *accounts, const struct claim *claim) {
    struct account *account = borrow(accounts);
    if (account == NULL) {
        return NULL;
    }
    memset(account, 0, offsetof(struct account, texts));
    account->owner = accounts;
    account->hash = claim->hash;
    account->part = claim->part;
    account->quota = hold_quota(claim->quota);
    copy_name(account, &claim->name);
    list_init(&account->waiting);
    list_init(&account->asked);
    list_init(&account->in_leased);
    accounts->n_accounts++;
    return account;
}

static void list_account(struct account *account) {
    struct account **chain = chain_of(account->owner, account->hash);
    account->next = *chain;
    *chain = account;
    account->is_listed = true;
}

static void destroy(struct account *account) {
    struct accounts *accounts = account->owner;
    if (account->is_listed) {
        unlist(account);
    }
    list_remove(&account->in_leased);
    quota_release(&account->quota);
    accounts->n_accounts--;
    if (accounts->n_free < MAX_FREE) {
        account->next = accounts->free;
        accounts->free = account;
        accounts->n_free++;
    } else {
        free(account);
    }
}

static void destroy_if_idle(struct account *account) {
    if (account->n_pins == 0 && account->asks == ACCOUNT_ASKS_NOTHING && list_is_empty(&account->waiting) &&
        list_is_empty(&account->in_leased) && account->n_held == 0) {
        destroy(account);
    }
}

void accounts_destroy(struct accounts **handle) {
    struct accounts *accounts = *handle;
    *handle = NULL;
    if (accounts == NULL) {
        return;
    }
    while (!list_is_empty(&accounts->leased)) { /* some of these are in no chain */
        destroy(list_entry(accounts->leased.next, struct account, in_leased));
    }
    for (size_t i = 0; i < N_CHAINS; i++) {
        while (accounts->chains[i] != NULL) {
            struct account *account = accounts->chains[i];
            ensure(account->n_asked, ==, 0);
            unlist(account);
            destroy(account);
        }
    }
    while (accounts->free != NULL) {
        struct account *account = accounts->free;
        accounts->free = account->next;
        free(account);
    }
    denied_destroy(&accounts->denied);
    free(accounts);
}

/* ---- limits ---- */

bool account_fits(const struct account *account, const struct quota_part *part) {
    const struct quota_part *own = account->part;
    bool is_same = own == part || own->n_limits == part->n_limits;
    for (uint32_t i = 0; own != part && is_same && i < own->n_limits; i++) {
        is_same = bucket_limit_is_equal(&own->limits[i], &part->limits[i]);
    }
    return is_same;
}

/* Of limits that quotas share the figures, since each quota has its own revision. */
uint64_t account_revision(const struct quota *quota, const struct quota_part *part) {
    if (part->scope != BUCKET_PER_TENANT && part->scope != BUCKET_GLOBAL) {
        return quota->revision;
    }
    const struct bucket_limit *limit = &part->limits[0];
    int64_t figures[] = {limit->algorithm, limit->count, limit->period_s, limit->burst_utok};
    return hash_bytes(figures, sizeof figures, 0);
}

/* ---- claims ---- */

static int64_t time_until(int64_t at_us, int64_t now_us) {
    return at_us == BUCKET_MAX_EXACT ? at_us : at_us > now_us ? at_us - now_us : 0;
}

static bool is_ever_granted(const struct quota_part *part, int64_t cost_tokens) {
    bool is_within = true;
    for (uint32_t i = 0; i < part->n_limits; i++) {
        is_within = is_within && cost_tokens * BUCKET_UTOK_PER_TOKEN <= part->limits[i].burst_utok;
    }
    return is_within;
}

/* Of a cost above the one that was denied, by the limit that denied it: another one may take longer still, and a window
 * gains nothing before its time. */
static int64_t retry_after(const struct denial *denial, const struct quota_part *part, int64_t cost_tokens,
                           int64_t now_us) {
    const struct bucket_limit *limit = &part->limits[denial->limit_index];
    int64_t retry_us = time_until(denial->retry_at_us, now_us);
    int64_t more_utok = (cost_tokens - denial->cost_tokens) * BUCKET_UTOK_PER_TOKEN;
    if (more_utok == 0 || retry_us == BUCKET_MAX_EXACT) {
        return retry_us;
    }
    if (!is_ever_granted(part, cost_tokens)) {
        return BUCKET_MAX_EXACT;
    }
    if (!bucket_is_window(limit)) {
        retry_us += bucket_gain_us(limit, more_utok);
    }
    return retry_us < BUCKET_MAX_EXACT ? retry_us : BUCKET_MAX_EXACT;
}

static void describe_denial(const struct denial *denial, const struct quota_part *part, int64_t cost_tokens,
                            int64_t now_us, struct bucket_verdict *verdict) {
    *verdict = (struct bucket_verdict){
        .limit_index = denial->limit_index,
        .remaining_utok = denial->remaining_tokens * BUCKET_UTOK_PER_TOKEN,
        .retry_after_us = retry_after(denial, part, cost_tokens, now_us),
        .reset_after_us = time_until(denial->full_at_us, now_us),
    };
}

static bool is_denied(struct accounts *accounts, struct claim *claim, int64_t now_us) {
    int64_t cost_tokens = claim->at_most ? 1 : claim->cost_tokens;
    const struct denial *denial = denied_find(accounts->denied, claim->hash,
                                              account_revision(claim->quota, claim->part), cost_tokens, now_us);
    if (denial == NULL) {
        return false;
    }
    claim->outcome = STORE_OK;
    claim->source = DECISION_DENIED_CACHE;
    claim->granted_tokens = 0;
    describe_denial(denial, claim->part, cost_tokens, now_us, &claim->verdict);
    return true;
}

/* A store that never fails decides at once: nobody can wait for it. */
static enum claim_progress ask_at_once(struct accounts *accounts, struct claim *claim, int64_t now_us) {
    struct store_call call = {.part = claim->part,
                              .name = claim->name,
                              .hash = claim->hash,
                              .cost_tokens = claim->cost_tokens,
                              .deadline_us = claim->deadline_us};
    struct store_wish wish = {.cost_tokens = claim->cost_tokens};
    struct store_take take = {.part = claim->part,
                              .name = claim->name,
                              .hash = claim->hash,
                              .wishes = &wish,
                              .n_wishes = 1,
                              .at_most = true,
                              .deadline_us = claim->deadline_us};
    enum store_progress progress = claim->at_most ? store_take(accounts->options.store, &take, now_us)
                                                  : store_check(accounts->options.store, &call, now_us);
    ensure(progress, ==, STORE_DONE);
    claim->outcome = claim->at_most ? take.outcome : call.outcome;
    claim->verdict = claim->at_most ? wish.verdict : call.verdict;
    claim->source = DECISION_EMBEDDED;
    claim->granted_tokens = claim->at_most           ? take.granted_tokens
                            : claim->verdict.allowed ? claim->cost_tokens
                                                     : 0;
    return CLAIM_DONE;
}

static void note_demand(struct account *account, bool is_leased, int64_t cost_tokens, int64_t now_us) {
    if (is_leased) {
        account->used_at_us = now_us;
        lease_pace_note(&account->pace, cost_tokens, now_us);
    }
}

static void wait_in(struct account *account, struct claim *claim) {
    claim->is_waiting = true;
    account->wants_lease = account->wants_lease || claim->is_leased;
    list_push_back(&account->waiting, &claim->in_account);
}

/* Joins those who wait, and asks if nobody does. */
static enum claim_progress join(struct account *account, struct claim *claim, int64_t now_us) {
    wait_in(account, claim);
    if (account->asks == ACCOUNT_ASKS_NOTHING) {
        account->n_pins++;
        claim->is_starting = true;
        account_ask(account, now_us);
        claim->is_starting = false;
        account->n_pins--;
    }
    bool is_waiting = claim->is_waiting;
    destroy_if_idle(account);
    return is_waiting ? CLAIM_PENDING : CLAIM_DONE;
}

static enum claim_progress open_account(struct accounts *accounts, struct claim *claim, bool is_listed,
                                        int64_t now_us) {
    struct account *account = create(accounts, claim);
    if (account == NULL) {
        claim->outcome = STORE_NO_MEMORY;
        return CLAIM_DONE;
    }
    if (is_listed) {
        list_account(account);
        note_demand(account, claim->is_leased, claim->cost_tokens, now_us);
    }
    return join(account, claim, now_us);
}

bool accounts_decide(struct accounts *accounts, struct hash128 hash, struct accounts_question *question,
                     int64_t now_us) {
    const struct quota_part *part = question->part;
    struct account *account = find(accounts, hash);
    if (account != NULL && !lease_purse_is_empty(&account->purse) && account_fits(account, part) &&
        account_draw(account, question->cost_tokens, now_us, &question->verdict)) {
        question->source = DECISION_LEASE;
    } else {
        const struct denial *denial = denied_find(
            accounts->denied, hash, account_revision(question->quota, part), question->cost_tokens, now_us);
        if (denial == NULL) {
            return false;
        }
        question->source = DECISION_DENIED_CACHE;
        describe_denial(denial, part, question->cost_tokens, now_us, &question->verdict);
    }
    if (account != NULL) {
        note_demand(account, question->is_leased, question->cost_tokens, now_us);
    }
    return true;
}

enum claim_progress accounts_claim(struct accounts *accounts, struct claim *claim, int64_t now_us) {
    claim->account = NULL;
    claim->purse = NO_PURSE;
    claim->is_waiting = claim->is_starting = claim->is_from_purse = false;
    list_init(&claim->in_account);
    if (accounts->options.store->ops->source == DECISION_EMBEDDED) {
        return ask_at_once(accounts, claim, now_us);
    }
    struct account *account = find(accounts, claim->hash);
    if (account != NULL) {
        note_demand(account, claim->is_leased, claim->cost_tokens, now_us);
        if (account_fits(account, claim->part) && account_take_from_purse(account, claim, now_us)) {
            return CLAIM_DONE;
        }
    }
    if (is_denied(accounts, claim, now_us)) {
        return CLAIM_DONE;
    }
    bool cannot_wait =
        account != NULL && account->asks != ACCOUNT_ASKS_NOTHING && claim->deadline_us < account->deadline_us;
    if (account == NULL || cannot_wait) {
        return open_account(accounts, claim, account == NULL, now_us);
    }
    return join(account, claim, now_us);
}

/* The call under way took so long that another one would be cut off, and with it all that share it. */
static bool is_late(const struct account *account, struct claim *claim, int64_t now_us) {
    bool is_late = claim->deadline_us - now_us < account->owner->options.store_timeout_us / LEAST_TIME_PART;
    if (is_late) {
        claim->outcome = STORE_TIMEOUT;
    }
    return is_late;
}

/* Who came while the call was under way: the purse that it brought may serve them, or the denial stands. */
static void serve_waiting(struct account *account, struct list *served, int64_t now_us) {
    struct list *node = account->waiting.next;
    while (node != &account->waiting) {
        struct claim *claim = list_entry(node, struct claim, in_account);
        node = node->next;
        bool has_tokens = account_fits(account, claim->part) && account_take_from_purse(account, claim, now_us);
        if (has_tokens || is_denied(account->owner, claim, now_us) || is_late(account, claim, now_us)) {
            list_remove(&claim->in_account);
            list_push_back(served, &claim->in_account);
        }
    }
}

void account_on_done(struct account *account, int64_t now_us) {
    struct list told;
    list_init(&told);
    list_append_all(&told, &account->asked);
    account->n_asked = 0;
    account->asks = ACCOUNT_ASKS_NOTHING;
    account->n_pins++;
    serve_waiting(account, &told, now_us);
    if (!list_is_empty(&account->waiting)) {
        account_ask(account, now_us);
    }
    struct list *node;
    while ((node = list_pop_front(&told)) != NULL) {
        struct claim *claim = list_entry(node, struct claim, in_account);
        claim->is_waiting = false;
        if (!claim->is_starting) {
            claim->done(claim, now_us);
        }
    }
    account->n_pins--;
    destroy_if_idle(account);
}

void accounts_forget_denial(struct accounts *accounts, struct hash128 hash) {
    denied_forget(accounts->denied, hash);
}

void accounts_forget(struct accounts *accounts, struct hash128 hash) {
    struct account *account = find(accounts, hash);
    accounts_forget_denial(accounts, hash);
    if (account != NULL) {
        account_forget_tokens(account);
        account->is_outdated = true;
    }
}

void account_forget_tokens(struct account *account) {
    account->purse = (struct lease_purse){0};
    memset(account->late, 0, sizeof account->late);
    account->n_held_now = 0;
    account->n_forgotten = account->purse_number++;
}

/* ---- tokens that are held until all of a check is decided ---- */

struct gift {
    struct store_give give;
    struct accounts *accounts;
    struct quota *quota; /* held, for the part */
};

/* What was denied before this was done would have been granted after it. */
static void gift_end(struct gift *gift) {
    accounts_forget_denial(gift->accounts, gift->give.hash);
    quota_release(&gift->quota);
    free(gift);
}

static void gift_on_done(struct store_give *give) {
    gift_end(list_entry(give, struct gift, give));
}

/* Nobody waits for it. Should it be lost, the record has a few tokens less than it might. */
static void give_to_store(struct accounts *accounts, const struct claim *claim, const struct bucket_name *name,
                          int64_t tokens, int64_t now_us) {
    struct gift *gift = malloc(sizeof *gift);
    if (gift == NULL) {
        return;
    }
    gift->give = (struct store_give){.part = claim->part,
                                     .name = *name,
                                     .hash = claim->hash,
                                     .tokens = tokens,
                                     .deadline_us = now_us + accounts->options.store_timeout_us,
                                     .done = gift_on_done};
    gift->accounts = accounts;
    gift->quota = hold_quota(claim->quota);
    if (store_give(accounts->options.store, &gift->give, now_us) == STORE_DONE) {
        gift_end(gift);
    }
}

/* What is two epochs older than another lapsed long ago. */
void account_add_late(struct account *account, int64_t epoch, int64_t n_tokens, int64_t n_unused) {
    struct lease_told *late = &account->late[epoch & 1];
    if (late->epoch < epoch) {
        *late = (struct lease_told){.epoch = epoch};
    }
    if (late->epoch == epoch) {
        late->n_tokens += n_tokens;
        late->n_unused += n_unused;
    }
}

static void let_go(struct account *account, struct claim *claim, int64_t n_tokens, int64_t n_unused) {
    account->n_held -= n_tokens;
    if (claim->purse == NO_PURSE || claim->purse <= account->n_forgotten) {
        return;
    }
    if (claim->purse != account->purse_number) {
        account_add_late(account, claim->epoch, n_tokens, n_unused);
        return;
    }
    account->n_held_now -= n_tokens;
    if (n_unused > 0) {
        lease_purse_give_back(&account->purse, n_unused);
    }
}

void accounts_keep(struct claim *claim) {
    struct account *account = claim->account;
    claim->account = NULL;
    if (account != NULL) {
        let_go(account, claim, claim->granted_tokens, 0);
        destroy_if_idle(account);
    }
}

void accounts_give_back(struct accounts *accounts, struct claim *claim, int64_t tokens, int64_t now_us) {
    struct account *account = claim->account;
    ensure(tokens, <=, claim->granted_tokens);
    claim->granted_tokens -= tokens;
    if (account != NULL) {
        let_go(account, claim, tokens, tokens);
    }
    if (claim->purse == NO_PURSE) {
        give_to_store(accounts, claim, account != NULL ? &account->name : &claim->name, tokens, now_us);
    }
}

/* ---- leases that are over ---- */

/* The account of a leased record stays a while, since it knows how much is asked for. */
static void look_at(struct account *account, int64_t now_us) {
    bool is_draining = account->owner->is_draining;
    if (account->asks != ACCOUNT_ASKS_NOTHING || !list_is_empty(&account->waiting) ||
        !(is_draining || lease_purse_is_over(&account->purse, now_us)) || account_return(account, now_us)) {
        return;
    }
    bool is_crowded = account->owner->n_accounts > MAX_LINGERING;
    bool may_go = is_draining || is_crowded || now_us - account->used_at_us >= LINGER_US;
    if (may_go && account->n_held == 0) {
        list_remove(&account->in_leased);
        destroy_if_idle(account);
    }
}

static void look_at_leased(struct accounts *accounts, int64_t now_us) {
    struct list *node = accounts->leased.next;
    while (node != &accounts->leased) {
        struct account *account = list_entry(node, struct account, in_leased);
        node = node->next;
        look_at(account, now_us);
    }
}

void accounts_tick(struct accounts *accounts, int64_t now_us) {
    if (now_us >= accounts->next_look_us) {
        accounts->next_look_us = now_us + LOOK_EVERY_US;
        look_at_leased(accounts, now_us);
    }
}

void accounts_drain(struct accounts *accounts, int64_t now_us) {
    accounts->is_draining = true;
    look_at_leased(accounts, now_us);
}
