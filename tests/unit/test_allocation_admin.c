/* test_allocation_admin.c — calls of the admin endpoint while memory fails: an answer, or none, and nothing left. */
#include "tests/support/test_prelude.h"

#include <jansson.h>

#include "tests/support/failing_malloc.h"
#include "tests/support/fake_backend.h"

#define RULES                                                                                                  \
    "{\"limits\":[{\"name\":\"a\",\"rate\":\"5/s\"},{\"name\":\"b\",\"rate\":\"100/min\",\"burst\":7}]}"

struct plan {
    struct fake_backend fake;
    const char *method, *target, *body;
    unsigned int status;
    void (*answer)(struct fake_backend *fake); /* Redis', NULL when it is not asked */
};

static struct bytes of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

/* Only 500 may stand for what was to be said, or 400 where there is a body: jansson does not always tell bad JSON from
 * memory that is short. */
static bool call_once(void *arg) {
    struct plan *plan = arg;
    struct call_head head = {
        .method = plan->method, .target = plan->target, .from = "::1", .content_type = "application/json"};
    plan->fake.heard[0] = '\0';
    failing_malloc_begin();
    struct call *call = call_open(&plan->fake.admin, &head);
    if (call != NULL) {
        call_take_body(call, plan->body, strlen(plan->body));
        call_run(call);
        if (!call_is_answered(call)) {
            plan->answer(&plan->fake);
        }
    }
    failing_malloc_end();
    unsigned int status = call != NULL ? call->answer.status : 500;
    call_close(&call);
    if (status != plan->status) {
        assert_true(status == 500 || (status == 400 && plan->body[0] != '\0'));
        assert_true(failing_malloc_has_failed());
    }
    return status == plan->status;
}

static void sweep(struct plan *plan, unsigned n_least) {
    fake_backend_init(&plan->fake);
    fake_backend_put(&plan->fake, "a", "b", RULES, 3);
    fake_backend_put(&plan->fake, "a", "s", "{\"limits\":[{\"rate\":\"5/s\"}],\"mode\":\"shadow\"}", 4);
    failing_malloc_sweep(call_once, plan, n_least);
    fake_backend_deinit(&plan->fake);
}

static void answer_ok(struct fake_backend *fake) {
    fake->change_done(fake->arg, &(struct control_change_result){.outcome = CONTROL_OK, .revision = 5});
}

static void answer_conflict(struct fake_backend *fake) {
    fake->change_done(fake->arg, &(struct control_change_result){
                                     .outcome = CONTROL_CONFLICT, .revision = 5, .current = of(RULES)});
}

static void answer_bucket(struct fake_backend *fake) {
    fake->bucket_done(fake->arg, &(struct control_bucket_result){.outcome = CONTROL_OK, .quota = fake->quota});
}

static void answer_frontends(struct fake_backend *fake) {
    struct control_frontend frontend = {.id = of("f1"), .about = of("{\"revision\":1}")};
    fake->frontends_done(fake->arg, &(struct control_frontends_result){
                                        .outcome = CONTROL_OK, .frontends = &frontend, .n_frontends = 1});
}

static void answer_changes(struct fake_backend *fake) {
    struct ledger_entry entry = {.revision = 1, .tenant = of("a"), .new = of(RULES), .detail = of("why")};
    fake->changes_done(
        fake->arg, &(struct control_changes_result){.outcome = CONTROL_OK, .entries = &entry, .n_entries = 1});
}

static void test_changes(void **state) {
    (void)state;
    static const char apply[] = "{\"changes\":[{\"tenant\":\"a\",\"resource\":\"b\",\"quota\":" RULES "}]}";
    struct plan plans[] = {
        {.method = "PUT",
         .target = "/v1/tenants/a/quotas/b",
         .body = RULES,
         .status = 200,
         .answer = answer_ok},
        {.method = "PUT",
         .target = "/v1/tenants/a/quotas/b",
         .body = RULES,
         .status = 412,
         .answer = answer_conflict},
        {.method = "PUT", .target = "/v1/tenants/a/quotas/b", .body = "{\"limits\":[]}", .status = 400},
        {.method = "POST", .target = "/v1/quotas:apply", .body = apply, .status = 200, .answer = answer_ok},
        {.method = "POST",
         .target = "/v1/quotas:apply",
         .body = apply,
         .status = 412,
         .answer = answer_conflict},
    };
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        sweep(&plans[i], 8);
    }
}

static void test_looks(void **state) {
    (void)state;
    struct plan plans[] = {
        {.method = "GET", .target = "/v1/tenants/a/quotas/b", .body = "", .status = 200},
        {.method = "GET", .target = "/v1/quotas?limit=1", .body = "", .status = 200},
        {.method = "GET", .target = "/v1/shadow", .body = "", .status = 200},
        {.method = "GET",
         .target = "/v1/tenants/a/buckets/b/k",
         .body = "",
         .status = 200,
         .answer = answer_bucket},
        {.method = "GET", .target = "/v1/frontends", .body = "", .status = 200, .answer = answer_frontends},
        {.method = "GET", .target = "/v1/changes", .body = "", .status = 200, .answer = answer_changes},
        {.method = "GET", .target = "/v1/nothing", .body = "", .status = 404},
    };
    for (size_t i = 0; i < sizeof plans / sizeof plans[0]; i++) {
        sweep(&plans[i], 5);
    }
}

/* jansson's memory is ours here, and so fails as well. */
static int setup(void **state) {
    (void)state;
    json_object_seed(1);
    json_set_alloc_funcs(malloc, free);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_changes),
        cmocka_unit_test(test_looks),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
