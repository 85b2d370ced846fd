/* client_sync.c — blocking calls: a client with a loop of its own, run until the call is done; see sluice.h.
 *
 * There is no second implementation: a blocking call is the async one and a callback that keeps the answer. */
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "client/client_decision.h"
#include "server/base/clock.h"

enum { SYNC_MAGIC = 0x53594e43 };

/* Where the answer goes. */
struct sync_wait {
    uint32_t magic;
    bool is_done;
    enum sluice_status status;
    char message[SLUICE_MESSAGE_BYTES];
    struct sluice_decision *decisions;
    struct sluice_booking *booking;
};

struct sluice_client *sluice_open(const struct sluice_options *options, char *message, size_t cap) {
    cap = message != NULL ? cap : 0;
    struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
    if (loop == NULL) {
        snprintf(message, cap, "cannot make an event loop");
        return NULL;
    }
    struct sluice_client *client = client_create(loop, true, options, message, cap);
    if (client == NULL) {
        ev_loop_destroy(loop);
    }
    return client;
}

static void on_done(void *arg, enum sluice_status status, const char *message,
                    const struct sluice_decision *decisions, size_t n_decisions) {
    struct sync_wait *wait = arg;
    if (wait->magic != SYNC_MAGIC) {
        abort();
    }
    wait->is_done = true;
    wait->status = status;
    snprintf(wait->message, sizeof wait->message, "%s", message);
    if (n_decisions > 0) {
        memcpy(wait->decisions, decisions, n_decisions * sizeof *decisions);
    }
}

static void on_booked(void *arg, const struct sluice_booking *booking) {
    struct sync_wait *wait = arg;
    if (wait->magic != SYNC_MAGIC) {
        abort();
    }
    wait->is_done = true;
    wait->status = booking->status;
    *wait->booking = *booking;
}

/* Sees what happened since the last call (a connection that ended, a pause that is over) before the next one is
 * routed. False when this client is not for blocking use. */
static bool begin(struct sluice_client *client, struct sync_wait *wait, struct sluice_decision *decisions) {
    *wait = (struct sync_wait){.magic = SYNC_MAGIC, .decisions = decisions};
    struct ev_loop *loop = client_own_loop(client);
    if (loop == NULL) {
        return false;
    }
    ev_now_update(loop);
    ev_run(loop, EVRUN_NOWAIT);
    return true;
}

/* Waits for the answer of an accepted call. Returns its status. */
static enum sluice_status finish(struct sluice_client *client, struct sync_wait *wait) {
    while (!wait->is_done) {
        ev_run(client_own_loop(client), EVRUN_ONCE);
    }
    return wait->status;
}

static void apply_policy(const struct client_policy *policy, const struct sluice_check *check, bool is_peek,
                         struct sluice_decision *decision) {
    struct client_local_ask ask = {.cost_tokens = 1};
    if (client_policy_reads_asks(policy)) {
        ask = client_policy_ask_of(policy, check);
    }
    client_policy_apply(policy, &ask, is_peek, false, clock_mono_us(), decision);
}

/* Why a call of so many checks was not accepted. */
static enum sluice_status explain(const struct sluice_client *client, size_t n_checks, char *message,
                                  size_t cap) {
    if (client_own_loop(client) == NULL) {
        snprintf(message, cap, "this client is attached to a loop: only the async calls may be used");
        return SLUICE_INVALID_ARGUMENT;
    }
    if (n_checks < 1 || n_checks > SLUICE_BATCH_MAX) {
        snprintf(message, cap, "checks: %zu given, a batch has 1 to %d", n_checks, SLUICE_BATCH_MAX);
        return SLUICE_INVALID_ARGUMENT;
    }
    snprintf(message, cap, "out of memory");
    return SLUICE_RESOURCE_EXHAUSTED;
}

/* Gives every decision the reason why the call was not accepted, or the policy's word; `checks` is NULL where the
 * policy has no say. */
static enum sluice_status refuse(const struct sluice_client *client, const struct sluice_check *checks,
                                 bool is_peek, struct sluice_decision *decisions, size_t n_decisions) {
    char message[SLUICE_MESSAGE_BYTES];
    enum sluice_status status = explain(client, n_decisions, message, sizeof message);
    for (size_t i = 0; i < n_decisions; i++) {
        client_decision_fail(&decisions[i], status, message);
        if (checks != NULL) {
            apply_policy(client_own_policy(client), &checks[i], is_peek, &decisions[i]);
        }
    }
    return n_decisions > 0 ? decisions[0].status : status;
}

static enum sluice_status refuse_booking(const struct sluice_client *client, struct sluice_booking *booking) {
    char message[SLUICE_MESSAGE_BYTES];
    client_decision_fail_booking(booking, explain(client, 1, message, sizeof message), message);
    return booking->status;
}

enum sluice_status sluice_check(struct sluice_client *client, const struct sluice_check *check,
                                struct sluice_decision *decision) {
    struct sync_wait wait;
    if (!begin(client, &wait, decision) || !sluice_check_async(client, check, on_done, &wait)) {
        return refuse(client, check, false, decision, 1);
    }
    return finish(client, &wait);
}

enum sluice_status sluice_peek(struct sluice_client *client, const struct sluice_check *check,
                               struct sluice_decision *decision) {
    struct sync_wait wait;
    if (!begin(client, &wait, decision) || !sluice_peek_async(client, check, on_done, &wait)) {
        return refuse(client, check, true, decision, 1);
    }
    return finish(client, &wait);
}

enum sluice_status sluice_check_batch(struct sluice_client *client, const struct sluice_check *checks,
                                      size_t n_checks, struct sluice_decision *decisions) {
    struct sync_wait wait;
    if (!begin(client, &wait, decisions) ||
        !sluice_check_batch_async(client, checks, n_checks, on_done, &wait)) {
        return refuse(client, checks, false, decisions, n_checks);
    }
    return finish(client, &wait);
}

enum sluice_status sluice_check_all(struct sluice_client *client, const struct sluice_check *checks,
                                    size_t n_checks, struct sluice_decision *decisions) {
    struct sync_wait wait;
    if (!begin(client, &wait, decisions) || !sluice_check_all_async(client, checks, n_checks, on_done, &wait)) {
        return refuse(client, NULL, false, decisions, n_checks);
    }
    return finish(client, &wait);
}

enum sluice_status sluice_refund(struct sluice_client *client, const struct sluice_check *refund,
                                 struct sluice_booking *booking) {
    struct sync_wait wait;
    if (!begin(client, &wait, NULL)) {
        return refuse_booking(client, booking);
    }
    wait.booking = booking;
    return sluice_refund_async(client, refund, on_booked, &wait) ? finish(client, &wait)
                                                                 : refuse_booking(client, booking);
}

enum sluice_status sluice_reserve(struct sluice_client *client, const struct sluice_check *check,
                                  const struct sluice_reservation *reservation,
                                  struct sluice_decision *decision) {
    struct sync_wait wait;
    if (!begin(client, &wait, decision) || !sluice_reserve_async(client, check, reservation, on_done, &wait)) {
        return refuse(client, check, false, decision, 1);
    }
    return finish(client, &wait);
}

enum sluice_status sluice_settle(struct sluice_client *client, const struct sluice_check *check,
                                 const struct sluice_settlement *settlement, struct sluice_booking *booking) {
    struct sync_wait wait;
    if (!begin(client, &wait, NULL)) {
        return refuse_booking(client, booking);
    }
    wait.booking = booking;
    return sluice_settle_async(client, check, settlement, on_booked, &wait) ? finish(client, &wait)
                                                                            : refuse_booking(client, booking);
}

enum sluice_status sluice_ping(struct sluice_client *client, char *message, size_t cap) {
    struct sync_wait wait;
    enum sluice_status status;
    if (begin(client, &wait, NULL) && sluice_ping_async(client, on_done, &wait)) {
        status = finish(client, &wait);
    } else {
        struct sluice_decision why;
        status = refuse(client, NULL, false, &why, 1);
        snprintf(wait.message, sizeof wait.message, "%s", why.message);
    }
    if (message != NULL) {
        snprintf(message, cap, "%s", wait.message);
    }
    return status;
}
