/* test_fleet_get.c — every frontend is asked where it says it is, and one that does not answer holds up nobody. */
#include "tests/support/test_prelude.h"

#include "admin/ctl/field.h"
#include "admin/ctl/fleet_get.h"
#include "tests/support/fake_http.h"

struct world {
    struct fake_http *fake, *other;
    char admin[64], frontends[512];
    struct session session;
    struct fleet_get get;
    int64_t sum;
};

static bool add(void *arg, const json_t *answer) {
    struct world *world = arg;
    world->sum += field_integer(answer, "n");
    return field_integer(answer, "n") < 100; /* else memory is short */
}

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    world->fake = fake_http_start();
    world->other = fake_http_start();
    snprintf(world->admin, sizeof world->admin, "http://%s", fake_http_address(world->fake));
    snprintf(
        world->frontends, sizeof world->frontends,
        "{\"self\":\"a1\",\"frontends\":[{\"id\":\"a1\",\"admin\":\"off\"},{\"id\":\"b2\",\"admin\":\"%s\"}]}",
        fake_http_address(world->other));
    world->session = (struct session){
        .command = "test",
        .api = {.http = http_client_create(), .admin = world->admin, .timeout_us = 10 * 1000 * 1000}};
    assert_non_null(world->session.api.http);
    world->get = (struct fleet_get){.path = "/v1/x", .add = add, .arg = world};
    *state = world;
    return 0;
}

static int close_world(void **state) {
    struct world *world = *state;
    http_client_destroy(&world->session.api.http);
    fake_http_stop(&world->fake);
    fake_http_stop(&world->other);
    free(world);
    return 0;
}

static void expect(struct world *world, size_t n_answered, int64_t sum) {
    world->sum = 0;
    fake_http_reply(world->fake, 200, world->frontends);
    fake_http_reply(world->fake, 200, "{\"n\":3}");
    assert_int_equal(fleet_get(&world->session, &world->get), CTL_DONE);
    assert_int_equal(world->get.n_frontends, 2);
    assert_int_equal(world->get.n_answered, n_answered);
    assert_int_equal(world->sum, sum);
}

static void test_every_frontend_is_asked(void **state) {
    struct world *world = *state;
    fake_http_reply(world->other, 200, "{\"n\":4}");
    expect(world, 2, 7);
    char *heard = fake_http_heard(world->other);
    assert_string_equal(heard, "GET /v1/x\n");
    free(heard);
}

static void test_one_that_fails_is_left_out(void **state) {
    struct world *world = *state;
    fake_http_reply(world->other, 503, "{}");
    expect(world, 1, 3);
    fake_http_reply(world->other, 200, "{\"n\":100}");
    expect(world, 1, 103);
    strcpy(world->frontends,
           "{\"self\":\"a1\",\"frontends\":[{\"id\":\"a1\"},{\"id\":\"b2\",\"admin\":\"off\"}]}");
    expect(world, 1, 3);
    strcpy(world->frontends, "{\"self\":\"a1\",\"frontends\":[{\"id\":\"a1\"},{\"id\":\"b2\"}]}");
    expect(world, 1, 3);
}

static void test_without_a_list_nobody_is_asked(void **state) {
    struct world *world = *state;
    fake_http_reply(world->fake, 401, "{\"title\":\"Unauthorized\"}");
    assert_int_equal(fleet_get(&world->session, &world->get), CTL_REFUSED);
    fake_http_reply(world->fake, 503, "{}");
    assert_int_equal(fleet_get(&world->session, &world->get), CTL_TROUBLE);
    fake_http_reply(world->fake, 200, "{}");
    assert_int_equal(fleet_get(&world->session, &world->get), CTL_DONE);
    assert_int_equal(world->get.n_frontends, 0);
    assert_int_equal(world->sum, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_frontend_is_asked, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_one_that_fails_is_left_out, open_world, close_world),
        cmocka_unit_test_setup_teardown(test_without_a_list_nobody_is_asked, open_world, close_world),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
