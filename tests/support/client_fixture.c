/* client_fixture.c — an attached client and a fake frontend for tests; see client_fixture.h. */
#include "tests/support/client_fixture.h"

#include "tests/support/test_prelude.h"

#include "server/base/clock.h"

static void on_request(void *arg, struct fake_peer *peer, const struct wire_request *request) {
    struct client_fixture *fixture = arg;
    fixture->peer = peer;
    if (fixture->n_requests < FIXTURE_MAX_REQUESTS) {
        memcpy(&fixture->requests[fixture->n_requests], request, sizeof *request);
    }
    fixture->n_requests++;
    if (request->n_checks > 0 && request->checks[0].key.len <= sizeof fixture->key) {
        fixture->key_len = request->checks[0].key.len;
        if (fixture->key_len > 0) {
            memcpy(fixture->key, request->checks[0].key.data, fixture->key_len);
        }
    }
    if (!fixture->is_silent) {
        fake_peer_allow(peer, request, request->n_checks);
    }
}

void ask_on_done(void *arg, enum sluice_status status, const char *message,
                 const struct sluice_decision *decisions, size_t n_decisions) {
    struct ask *asked = arg;
    asked->n_done++;
    asked->was_early |= asked->is_accepting;
    asked->status = status;
    snprintf(asked->message, sizeof asked->message, "%s", message);
    asked->n_decisions = n_decisions;
    for (size_t i = 0; i < n_decisions && i < FIXTURE_MAX_DECISIONS; i++) {
        asked->decisions[i] = decisions[i];
    }
    asked->done_at_us = clock_mono_us();
    if (asked->then != NULL) {
        ask_about(asked->then, "next");
    }
}

void ask_about(struct ask *ask, const char *key) {
    struct sluice_check check = sluice_check_of("demo", "hello", key);
    ask->is_accepting = true;
    assert_true(sluice_check_async(ask->fixture->client, &check, ask_on_done, ask));
    ask->is_accepting = false;
}

void ask_assert_done(const struct ask *ask, enum sluice_status status, const char *message) {
    assert_int_equal(ask->n_done, 1);
    assert_false(ask->was_early);
    assert_int_equal(ask->status, status);
    assert_string_equal(ask->message, message);
    if (status == SLUICE_OK) {
        return;
    }
    for (size_t i = 0; i < ask->n_decisions && i < FIXTURE_MAX_DECISIONS; i++) {
        assert_int_equal(ask->decisions[i].status, status);
        assert_string_equal(ask->decisions[i].message, message);
    }
}

void client_fixture_attach_to(struct client_fixture *fixture, const char *const *servers, size_t n_servers,
                              uint32_t timeout_ms) {
    struct sluice_options options = {.servers = servers, .n_servers = n_servers, .timeout_ms = timeout_ms};
    client_fixture_attach_with(fixture, &options);
}

void client_fixture_attach_with(struct client_fixture *fixture, const struct sluice_options *options) {
    char message[SLUICE_MESSAGE_BYTES] = "";
    fixture->client = sluice_attach(fixture->loop, options, message, sizeof message);
    assert_string_equal(message, "");
    assert_non_null(fixture->client);
}

void client_fixture_attach(struct client_fixture *fixture, uint32_t timeout_ms) {
    const char *server = fake_frontend_address(fixture->fake);
    client_fixture_attach_to(fixture, &server, 1, timeout_ms);
}

int client_fixture_set_up(void **state) {
    struct client_fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->loop = ev_loop_new(EVFLAG_AUTO);
    assert_non_null(fixture->loop);
    fixture->fake = fake_frontend_start(fixture->loop, 0, on_request, fixture);
    *state = fixture;
    return 0;
}

int client_fixture_tear_down(void **state) {
    struct client_fixture *fixture = *state;
    sluice_close(&fixture->client);
    assert_null(fixture->client);
    sluice_close(&fixture->client);
    fake_frontend_stop(&fixture->fake);
    ev_loop_destroy(fixture->loop);
    free(fixture);
    return 0;
}
