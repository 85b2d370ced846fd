/* test_hot.c — one key is hammered among thousands: a real frontend finds that one, and lets it cool. */
#include "client/sluice.h"
#include "tests/system/frontend.h"

enum { BATCH = 100, N_OTHERS = 5000, LIMIT_S = 30 };

static const char quotas[] = "tenants: { t: { r: { limits: [ { rate: 100/s, burst: 50 } ] } } }\n";

static int open_group(void **state) {
    *state = harness_open();
    return 0;
}

static int close_group(void **state) {
    harness_close((struct harness **)state);
    return 0;
}

/* A batch: half of it is of one key, the rest of keys that come once in a while. */
static void hammer(struct sluice_client *client, size_t *next_other) {
    struct sluice_check checks[BATCH];
    struct sluice_decision decisions[BATCH];
    char keys[BATCH][16];
    for (size_t i = 0; i < BATCH; i++) {
        if (i % 2 == 0) {
            strcpy(keys[i], "hot");
        } else {
            snprintf(keys[i], sizeof keys[i], "other %d", (int)((*next_other)++ % N_OTHERS));
        }
        checks[i] = sluice_check_of("t", "r", keys[i]);
    }
    assert_int_equal(sluice_check_batch(client, checks, BATCH, decisions), SLUICE_OK);
}

/* As the endpoint lists it: the hot key alone, since the others are asked for too seldom. */
static void assert_listed(const struct frontend *frontend) {
    char body[4096];
    assert_int_equal(frontend_get(frontend, "/v1/hotkeys?limit=10", body, sizeof body), 200);
    assert_contains(body, "{\"hotkeys\":[{\"tenant\":\"t\",\"resource\":\"r\",\"key\":\"hot\",\"hot\":true,"
                          "\"checks_per_s\":");
    assert_contains(body, "\"sources\":{\"embedded\":");
    assert_contains(body, "\"silent_workers\":0}");
    assert_null(strstr(body, "\"denied_per_s\":0,\"sources\":{\"embedded\""));
}

static void test_the_hot_key_is_found_and_cools(void **state) {
    struct harness *harness = *state;
    struct frontend frontend;
    char path[HARNESS_PATH_BYTES];
    FRONTEND_START(harness, &frontend, "--hot-rate", "400", "--hot-rate-least", "400", "--quotas",
                   harness_write(harness, "quotas.yaml", quotas, path));
    const char *server = frontend.address;
    struct sluice_options options = {.servers = &server, .n_servers = 1, .timeout_ms = 5000};
    struct sluice_client *client = sluice_open(&options, NULL, 0);
    assert_non_null(client);
    assert_int_equal(frontend_metric(&frontend, "sluice_hot_keys"), 0);
    int64_t until_us = harness_now_us() + LIMIT_S * INT64_C(1000000);
    size_t next_other = 0;
    do {
        assert_true(harness_now_us() < until_us);
        for (int i = 0; i < 20; i++) {
            hammer(client, &next_other);
        }
    } while (frontend_metric(&frontend, "sluice_hot_keys") == 0);
    assert_int_equal(frontend_metric(&frontend, "sluice_hot_keys"), 1);
    assert_listed(&frontend);
    frontend_await_metric(&frontend, "sluice_hot_keys", 0);
    sluice_close(&client);
    frontend_stop(&frontend);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_hot_key_is_found_and_cools),
    };
    return cmocka_run_group_tests(tests, open_group, close_group);
}
