/* lease_trial.c — a fleet of workers and one record, event by event; see lease_trial.h. */
#include "tests/property/lease_trial.h"

#include <math.h>
#include <stdlib.h>

#include "server/core/lease.h"
#include "tests/property/trace.h"

#define START_US INT64_C(1790000000000000)
#define SECOND_US INT64_C(1000000)
#define WARM_UP_US (2 * SECOND_US)
#define CALL_TIMEOUT_US INT64_C(25000)
#define REBIRTH_US INT64_C(100000)
#define REFUND_MAX_US INT64_C(400000) /* after the check */
#define WAIT_US INT64_C(10000)        /* so long a check waits for a token that is to come */

enum { MAX_WAITING = 4096 };

enum event_kind {
    EVENT_CHECK,
    EVENT_AT_STORE,
    EVENT_REPLY,
    EVENT_TIMEOUT,
    EVENT_PURSE_OVER,
    EVENT_TOKEN,
    EVENT_REFUND,
    EVENT_REBIRTH
};

struct event {
    int64_t at_us;
    uint64_t serial;
    enum event_kind kind;
    uint32_t worker;
    uint64_t call; /* of the worker; a reply to another one is dropped */
    int64_t sent_at_us;
    bool is_lost;     /* the reply */
    int64_t n_tokens; /* of a refund */
    struct lease_wish wish;
    struct lease_grant grant;
};

struct worker {
    struct lease_purse purse;
    struct lease_pace pace;
    double checks_per_s;
    uint64_t call; /* counts, so that late events are known */
    bool is_calling, is_dead;
    bool is_token_due;
    int64_t deny_until_us;
    uint32_t n_waiting; /* for the call's reply */
    uint32_t n_asked;   /* of them, whom the call asked for */
    int64_t waiting[MAX_WAITING];
    uint32_t n_queued; /* for tokens that are to come, in order */
    int64_t queued[MAX_WAITING], queued_until_us[MAX_WAITING];
};

/* The sliding maximum of one limit, scaled by its period. */
struct judge {
    __int128 best, over;
};

struct run {
    const struct lease_trial *trial;
    struct lease_result *result;
    struct trace random;
    struct event *events; /* a heap, the earliest first */
    size_t n_events, cap;
    uint64_t serial;
    bool is_out_of_memory;
    struct bucket_record record;
    struct lease_account account;
    struct worker workers[LEASE_TRIAL_MAX_WORKERS];
    struct judge judges[BUCKET_MAX_LIMITS];
    int64_t n_admitted_tokens, n_warm_tokens, n_asked_tokens; /* the last two after warm-up */
    int64_t n_given_tokens[3]; /* back: in this epoch, in the one before, earlier */
    int64_t given_epoch;
    uint64_t n_calls;
};

/* --- events --- */

static bool is_before(const struct event *a, const struct event *b) {
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->serial < b->serial;
}

static void push(struct run *run, struct event event) {
    if (run->n_events == run->cap) {
        size_t cap = run->cap > 0 ? 2 * run->cap : 256;
        struct event *events = realloc(run->events, cap * sizeof *events);
        if (events == NULL) {
            run->is_out_of_memory = true;
            return;
        }
        run->events = events;
        run->cap = cap;
    }
    event.serial = run->serial++;
    size_t i = run->n_events++;
    for (; i > 0 && is_before(&event, &run->events[(i - 1) / 2]); i = (i - 1) / 2) {
        run->events[i] = run->events[(i - 1) / 2];
    }
    run->events[i] = event;
}

static struct event pop(struct run *run) {
    struct event first = run->events[0], last = run->events[--run->n_events];
    size_t i = 0;
    for (size_t child = 1; child < run->n_events; child = 2 * i + 1) {
        if (child + 1 < run->n_events && is_before(&run->events[child + 1], &run->events[child])) {
            child++;
        }
        if (!is_before(&run->events[child], &last)) {
            break;
        }
        run->events[i] = run->events[child];
        i = child;
    }
    run->events[i] = last;
    return first;
}

static bool happens(struct run *run, uint32_t per_million) {
    return trace_random(&run->random, 1000000) < per_million;
}

/* Between two checks that come at random. */
static int64_t random_gap_us(struct run *run, double per_s) {
    double unit = ((double)trace_random(&run->random, UINT64_C(1) << 40) + 1) / (double)(UINT64_C(1) << 40);
    return (int64_t)(-log(unit) / per_s * 1e6 + 0.5);
}

/* --- admissions and refunds --- */

static void forget_given(struct run *run, int64_t now_us) {
    for (int64_t epoch = now_us / LEASE_EPOCH_US; run->given_epoch < epoch; run->given_epoch++) {
        run->n_given_tokens[2] += run->n_given_tokens[1];
        run->n_given_tokens[1] = run->n_given_tokens[0];
        run->n_given_tokens[0] = 0;
    }
}

static void give(struct run *run, int64_t n_tokens, int64_t now_us) {
    struct lease_gift gift = {.gain_tokens = n_tokens, .is_refund = true};
    (void)lease_give_tokens(&run->record, &run->account, run->trial->limits, run->trial->n_limits, &gift,
                            now_us);
    forget_given(run, now_us);
    run->n_given_tokens[0] += n_tokens;
    run->result->n_refunds++;
}

static void admit(struct run *run, int64_t n_tokens, int64_t now_us) {
    forget_given(run, now_us);
    int64_t n_over = run->n_given_tokens[2], n_given = n_over + run->n_given_tokens[1] + run->n_given_tokens[0];
    for (uint32_t i = 0; i < run->trial->n_limits; i++) {
        const struct bucket_limit *limit = &run->trial->limits[i];
        struct judge *judge = &run->judges[i];
        __int128 scale = (__int128)BUCKET_UTOK_PER_TOKEN * limit->period_s;
        __int128 accrued = (__int128)(now_us - START_US) * limit->count;
        __int128 here = accrued + (n_over - run->n_admitted_tokens) * scale;
        judge->best = run->n_admitted_tokens == 0 || here > judge->best ? here : judge->best;
        __int128 over = (run->n_admitted_tokens + n_tokens - n_given) * scale - accrued + judge->best -
                        (__int128)limit->burst_utok * limit->period_s;
        judge->over = run->n_admitted_tokens == 0 || over > judge->over ? over : judge->over;
    }
    run->n_admitted_tokens += n_tokens;
    run->n_warm_tokens += now_us >= START_US + WARM_UP_US ? n_tokens : 0;
    run->result->n_admitted++;
}

static void send_call(struct run *run, uint32_t index, const struct lease_wish *wish, int64_t now_us) {
    struct worker *worker = &run->workers[index];
    worker->is_calling = true;
    worker->call++;
    run->n_calls++;
    int64_t latency_us = 50 + (int64_t)trace_random(&run->random, (uint64_t)run->trial->latency_us / 2);
    struct event event = {.kind = EVENT_AT_STORE, .worker = index, .call = worker->call, .wish = *wish};
    event.at_us = now_us + latency_us;
    event.sent_at_us = now_us;
    bool is_lost = happens(run, run->trial->losses_per_million);
    event.is_lost = is_lost;
    if (!is_lost || trace_random(&run->random, 2) == 0) {
        push(run, event);
    }
    event.kind = EVENT_TIMEOUT;
    event.at_us = now_us + CALL_TIMEOUT_US;
    push(run, event);
    if (happens(run, run->trial->deaths_per_million)) {
        double checks_per_s = worker->checks_per_s;
        uint64_t call = worker->call + 1;
        *worker = (struct worker){.checks_per_s = checks_per_s, .call = call, .is_dead = true};
        push(run, (struct event){.at_us = now_us + REBIRTH_US, .kind = EVENT_REBIRTH, .worker = index});
    }
}

static void ask(struct run *run, uint32_t index, int64_t now_us) {
    struct worker *worker = &run->workers[index];
    int64_t need_tokens = 0;
    for (uint32_t i = 0; i < worker->n_waiting; i++) {
        need_tokens += worker->waiting[i];
    }
    struct lease_wish wish =
        lease_next_wish(&worker->purse, &worker->pace, need_tokens, run->result->lease_us, now_us);
    send_call(run, index, &wish, now_us);
}

static void await_token(struct run *run, uint32_t index, int64_t when_us) {
    if (!run->workers[index].is_token_due) {
        run->workers[index].is_token_due = true;
        push(run, (struct event){.at_us = when_us, .kind = EVENT_TOKEN, .worker = index});
    }
}

/* A check that the purse decides, or that waits for tokens to come; false: the purse has too few. */
static bool decide_by_purse(struct run *run, uint32_t index, int64_t cost_tokens, int64_t now_us) {
    struct worker *worker = &run->workers[index];
    int64_t when_us = 0;
    switch (lease_purse_take(&worker->purse, cost_tokens, now_us, &when_us)) {
    case LEASE_TAKEN:
        admit(run, cost_tokens, now_us);
        return true;
    case LEASE_NOT_YET:
        if (when_us - now_us <= WAIT_US && worker->n_queued < MAX_WAITING) {
            worker->queued[worker->n_queued] = cost_tokens;
            worker->queued_until_us[worker->n_queued++] = now_us + WAIT_US;
            await_token(run, index, when_us);
        }
        return true;
    case LEASE_EMPTY:
        break;
    }
    return false;
}

static void check_at_store(struct run *run, int64_t cost_tokens, int64_t now_us) {
    struct bucket_record record = run->record;
    struct lease_account account = run->account;
    struct bucket_verdict verdict;
    lease_refresh(&record, &account, run->trial->limits, run->trial->n_limits, now_us);
    bucket_check(&record, run->trial->limits, run->trial->n_limits, cost_tokens, now_us, false, &verdict);
    if (verdict.allowed) {
        run->record = record;
        run->account = account;
        admit(run, cost_tokens, now_us);
    }
}

static void on_check(struct run *run, const struct event *event) {
    struct worker *worker = &run->workers[event->worker];
    int64_t now_us = event->at_us;
    struct event next = {.kind = EVENT_CHECK, .worker = event->worker};
    next.at_us = now_us + random_gap_us(run, worker->checks_per_s);
    push(run, next);
    int64_t max_cost = run->trial->max_cost_tokens;
    int64_t cost_tokens =
        max_cost > 1 && happens(run, 200000) ? 1 + (int64_t)trace_random(&run->random, (uint64_t)max_cost) : 1;
    run->result->n_checks++;
    run->n_asked_tokens += now_us >= START_US + WARM_UP_US ? cost_tokens : 0;
    if (run->trial->refunds_percent > trace_random(&run->random, 100)) {
        struct event refund = {.kind = EVENT_REFUND, .n_tokens = cost_tokens};
        refund.at_us = now_us + (int64_t)trace_random(&run->random, REFUND_MAX_US);
        push(run, refund);
    }
    if (trace_random(&run->random, 100) < run->trial->plain_checks_percent) {
        check_at_store(run, cost_tokens, now_us);
        return;
    }
    if (worker->is_dead) {
        return;
    }
    lease_pace_note(&worker->pace, cost_tokens, now_us);
    if ((worker->n_queued > 0 && lease_purse_left(&worker->purse, now_us) > 0) ||
        decide_by_purse(run, event->worker, cost_tokens, now_us)) {
        return;
    }
    if (worker->is_calling || now_us >= worker->deny_until_us) {
        if (worker->n_waiting < MAX_WAITING) {
            worker->waiting[worker->n_waiting++] = cost_tokens;
        }
        if (!worker->is_calling) {
            ask(run, event->worker, now_us);
        }
    }
}

static void on_store(struct run *run, struct event *event) {
    struct bucket_record record = run->record;
    struct lease_account account = run->account;
    if (lease_grant_tokens(&record, &account, run->trial->limits, run->trial->n_limits, &event->wish, NULL,
                           event->at_us, &event->grant)) {
        run->record = record;
        run->account = account;
    }
    if (!event->is_lost) {
        event->kind = EVENT_REPLY;
        event->at_us += 50 + (int64_t)trace_random(&run->random, (uint64_t)run->trial->latency_us / 2);
        push(run, *event);
    }
}

/* In order. Who came after the call was sent and finds nothing is in the next one, unless nothing is to be had. */
static void serve_waiting(struct run *run, uint32_t index, int64_t now_us) {
    struct worker *worker = &run->workers[index];
    uint32_t n_kept = 0;
    for (uint32_t i = 0; i < worker->n_waiting; i++) {
        if (!decide_by_purse(run, index, worker->waiting[i], now_us) && i >= worker->n_asked &&
            now_us >= worker->deny_until_us) {
            worker->waiting[n_kept++] = worker->waiting[i];
        }
    }
    worker->n_waiting = n_kept;
    if (n_kept > 0) {
        ask(run, index, now_us);
    }
}

static void on_reply(struct run *run, const struct event *event) {
    struct worker *worker = &run->workers[event->worker];
    const struct lease_grant *grant = &event->grant;
    int64_t now_us = event->at_us, lease_us = run->result->lease_us;
    if (!worker->is_calling || worker->call != event->call) {
        return;
    }
    worker->is_calling = false;
    lease_purse_fill(&worker->purse, grant, run->trial->limits, run->trial->n_limits, lease_us,
                     event->sent_at_us, now_us);
    int64_t wanted = event->wish.need_tokens + event->wish.extra_tokens;
    if (grant->n_there + grant->n_to_come < wanted && grant->n_to_come == 0) {
        int64_t delay_us = grant->n_others > 0 && lease_us < grant->delay_us ? lease_us : grant->delay_us;
        worker->deny_until_us = event->sent_at_us + delay_us;
    }
    if (grant->n_there + grant->n_to_come > 0) {
        push(run, (struct event){.at_us = worker->purse.until_us + 1,
                                 .kind = EVENT_PURSE_OVER,
                                 .worker = event->worker,
                                 .call = worker->call});
    }
    serve_waiting(run, event->worker, now_us);
}

static void on_token(struct run *run, uint32_t index, int64_t now_us) {
    struct worker *worker = &run->workers[index];
    worker->is_token_due = false;
    uint32_t i = 0;
    for (; i < worker->n_queued; i++) {
        int64_t when_us = 0;
        if (worker->queued_until_us[i] < now_us) {
            continue;
        }
        enum lease_take take = lease_purse_take(&worker->purse, worker->queued[i], now_us, &when_us);
        if (take == LEASE_TAKEN) {
            admit(run, worker->queued[i], now_us);
        } else if (take == LEASE_NOT_YET) {
            await_token(run, index, when_us);
            break;
        }
    }
    uint32_t n_left = worker->n_queued - i;
    for (uint32_t k = 0; k < n_left; k++) {
        worker->queued[k] = worker->queued[i + k];
        worker->queued_until_us[k] = worker->queued_until_us[i + k];
    }
    worker->n_queued = n_left;
}

static void handle(struct run *run, struct event *event) {
    struct worker *worker = &run->workers[event->worker];
    switch (event->kind) {
    case EVENT_CHECK:
        on_check(run, event);
        break;
    case EVENT_AT_STORE:
        on_store(run, event);
        break;
    case EVENT_REPLY:
        on_reply(run, event);
        break;
    case EVENT_TIMEOUT:
        if (worker->is_calling && worker->call == event->call) {
            worker->is_calling = false;
            worker->n_waiting = 0;
        }
        break;
    case EVENT_PURSE_OVER:
        if (!worker->is_calling && worker->call == event->call &&
            lease_purse_has_to_be_told(&worker->purse, event->at_us)) {
            struct lease_wish wish = lease_last_wish(&worker->purse, &worker->pace, event->at_us);
            worker->n_asked = 0;
            send_call(run, event->worker, &wish, event->at_us);
        }
        break;
    case EVENT_TOKEN:
        on_token(run, event->worker, event->at_us);
        break;
    case EVENT_REFUND:
        give(run, event->n_tokens, event->at_us);
        break;
    case EVENT_REBIRTH:
        worker->is_dead = false;
        break;
    }
}

static void start(struct run *run) {
    const struct lease_trial *trial = run->trial;
    for (uint32_t i = 0; i < trial->n_workers; i++) {
        double share = 1.0 / trial->n_workers;
        if (trial->is_skewed && trial->n_workers > 1) {
            share = i == 0 ? 0.9 : 0.1 / (trial->n_workers - 1);
        }
        run->workers[i].checks_per_s = trial->checks_per_s * share;
        int64_t gap_us = random_gap_us(run, run->workers[i].checks_per_s);
        push(run, (struct event){.at_us = START_US + gap_us, .kind = EVENT_CHECK, .worker = i});
    }
}

static void sum_up(struct run *run) {
    const struct lease_trial *trial = run->trial;
    struct lease_result *result = run->result;
    double measured_s = (double)trial->seconds - (double)WARM_UP_US / (double)SECOND_US;
    double expected_tokens = (double)run->n_asked_tokens;
    result->over_tokens = -1e18;
    for (uint32_t i = 0; i < trial->n_limits; i++) {
        const struct bucket_limit *limit = &trial->limits[i];
        double over = (double)run->judges[i].over / ((double)limit->period_s * (double)BUCKET_UTOK_PER_TOKEN);
        result->over_tokens = over > result->over_tokens ? over : result->over_tokens;
        double gained_tokens = (double)limit->count / (double)limit->period_s * measured_s;
        expected_tokens = gained_tokens < expected_tokens ? gained_tokens : expected_tokens;
    }
    result->served = (double)run->n_warm_tokens / expected_tokens;
    result->calls = (double)run->n_calls / (double)(result->n_checks > 0 ? result->n_checks : 1);
}

bool lease_trial_run(const struct lease_trial *trial, struct lease_result *result) {
    struct run *run = calloc(1, sizeof *run);
    if (run == NULL) {
        return false;
    }
    *result = (struct lease_result){.lease_us = lease_time_us(trial->limits, trial->n_limits)};
    run->trial = trial;
    run->result = result;
    run->random.random = trial->seed;
    run->given_epoch = START_US / LEASE_EPOCH_US;
    start(run);
    while (run->n_events > 0 && run->events[0].at_us < START_US + trial->seconds * SECOND_US) {
        struct event event = pop(run);
        handle(run, &event);
    }
    sum_up(run);
    bool is_whole = !run->is_out_of_memory;
    free(run->events);
    free(run);
    return is_whole;
}
