/* client_fixture.h — an attached client, a fake frontend, and what was asked and answered; for tests.
 *
 * All on one loop, that of the test. Assertions are cmocka's. */
#ifndef SLUICE_TESTS_SUPPORT_CLIENT_FIXTURE_H
#define SLUICE_TESTS_SUPPORT_CLIENT_FIXTURE_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/sluice.h"
#include "tests/support/fake_frontend.h"
#include "tests/support/fake_redis.h" /* turn_until */

enum { FIXTURE_MAX_REQUESTS = 16, FIXTURE_MAX_DECISIONS = 8, SHORT_MS = 50, LONG_MS = 60000 };

struct client_fixture {
    struct ev_loop *loop;
    struct fake_frontend *fake;
    struct sluice_client *client;
    bool is_silent;         /* requests are kept, not answered; else allowed, with n_checks left */
    struct fake_peer *peer; /* the last that asked */
    unsigned n_requests;
    struct wire_request requests[FIXTURE_MAX_REQUESTS]; /* the first ones, without what they borrowed */
    uint8_t key[8];                                     /* of the last request */
    size_t key_len;
};

/* What a test asked, and what came back. All zero but `fixture` before it is asked. */
struct ask {
    struct client_fixture *fixture;
    struct ask *then; /* asked from inside the callback */
    bool is_accepting, was_early;
    unsigned n_done;
    enum sluice_status status;
    char message[SLUICE_MESSAGE_BYTES];
    size_t n_decisions;
    struct sluice_decision decisions[FIXTURE_MAX_DECISIONS]; /* the first ones */
    int64_t done_at_us;
};

/* cmocka's: makes a loop and a frontend, not yet a client; closes what there is. */
int client_fixture_set_up(void **state);
int client_fixture_tear_down(void **state);

void client_fixture_attach_to(struct client_fixture *fixture, const char *const *servers, size_t n_servers,
                              uint32_t timeout_ms);
void client_fixture_attach(struct client_fixture *fixture, uint32_t timeout_ms);
void client_fixture_attach_with(struct client_fixture *fixture, const struct sluice_options *options);

/* A check of demo/hello; a sluice_done_fn for those that the test makes itself. */
void ask_about(struct ask *ask, const char *key);
void ask_on_done(void *arg, enum sluice_status status, const char *message,
                 const struct sluice_decision *decisions, size_t n_decisions);

/* It was answered once, after it was accepted, with this; when that is a failure, so is every decision. */
void ask_assert_done(const struct ask *ask, enum sluice_status status, const char *message);

#endif
