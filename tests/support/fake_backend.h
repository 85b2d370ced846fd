/* fake_backend.h — a frontend for calls of the admin endpoint: notes what it is asked, answers when the test says so. */
#ifndef SLUICE_TESTS_SUPPORT_FAKE_BACKEND_H
#define SLUICE_TESTS_SUPPORT_FAKE_BACKEND_H

#include "admin/backend.h"
#include "admin/call.h"

enum { FAKE_HEARD_BYTES = 8192 };

struct fake_backend {
    struct backend base;
    struct admin admin;
    bool is_ready, is_shared, is_down; /* down: nothing can be asked */
    struct quota_set *set;
    char heard[FAKE_HEARD_BYTES]; /* a line for each thing asked */
    int n_abandoned;
    /* what is under way; NULL: nothing */
    control_change_fn change_done;
    control_changes_fn changes_done;
    control_bucket_fn bucket_done;
    control_frontends_fn frontends_done;
    hot_survey_fn hotkeys_done;
    const struct quota *quota; /* by which a bucket is looked at */
    void *arg;
};

/* Shared and ready, without quotas. */
void fake_backend_init(struct fake_backend *fake);
void fake_backend_deinit(struct fake_backend *fake);
/* cmocka's: the state of a test is one of these. */
int fake_backend_set_up(void **state);
int fake_backend_tear_down(void **state);
/* Puts a quota, given as JSON, into the set. */
void fake_backend_put(struct fake_backend *fake, const char *tenant, const char *resource, const char *json,
                      uint64_t revision);

/* Opens a call from 192.0.2.1, with the body unless that is NULL, as application/json, and runs it. */
struct call *fake_backend_call(struct fake_backend *fake, const char *method, const char *target,
                               const char *body);
struct call *fake_backend_call_head(struct fake_backend *fake, const struct call_head *head, const char *body);
/* Checks status and body, which is a whole text, or the beginning of one that ends in "...", then closes the call. */
void fake_backend_expect(struct call **call, unsigned int status, const char *body);

#endif
