/* fake_backend.c — a frontend for calls of the admin endpoint. */
#include "tests/support/test_prelude.h"

#include "tests/support/fake_backend.h"

#include "server/quota/quota_json.h"

static struct fake_backend *fake_of(const struct backend *backend) {
    return (struct fake_backend *)(uintptr_t)backend;
}

static void hear(struct fake_backend *fake, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void hear(struct fake_backend *fake, const char *format, ...) {
    size_t used = strlen(fake->heard);
    va_list args;
    va_start(args, format);
    vsnprintf(fake->heard + used, sizeof fake->heard - used, format, args);
    va_end(args);
}

#define TEXT(bytes) (int)(bytes).len, (const char *)(bytes).data

/* Something is under way from now on; NULL when Redis is down. */
static struct control_call *start(struct fake_backend *fake, void *arg, struct status *status) {
    if (fake->is_down) {
        status_fail(status, "Redis is down");
        return NULL;
    }
    fake->arg = arg;
    return (struct control_call *)(void *)fake;
}

static bool on_is_ready(struct backend *backend) {
    return fake_of(backend)->is_ready;
}

static bool on_render(struct backend *backend, struct buf *out) {
    (void)backend;
    return buf_append(out, "sluice_up 1\n", strlen("sluice_up 1\n"));
}

static const struct quota_set *on_quotas(struct backend *backend) {
    return fake_of(backend)->set;
}

static bool on_is_shared(const struct backend *backend) {
    return fake_of(backend)->is_shared;
}

static const char *on_id(struct backend *backend) {
    (void)backend;
    return "f1";
}

static void on_describe(struct backend *backend, struct buf *out) {
    (void)backend;
    assert_true(buf_append(out, "{\"version\":\"1\"}", strlen("{\"version\":\"1\"}")));
}

static struct control_call *on_change(struct backend *backend, const struct control_change *changes,
                                      uint32_t n_changes, struct control_asker asker, control_change_fn done,
                                      void *arg, struct status *status) {
    struct fake_backend *fake = fake_of(backend);
    for (uint32_t i = 0; i < n_changes; i++) {
        const struct control_change *change = &changes[i];
        struct buf rules = {0};
        switch (change->kind) {
        case CONTROL_PUT:
            if (!quota_json_write(change->rules, &rules)) {
                hear(fake, "out of memory");
                break;
            }
            hear(fake, "put %.*s %.*s %.*s", TEXT(change->tenant), TEXT(change->resource), (int)buf_len(&rules),
                 (const char *)buf_front(&rules));
            break;
        case CONTROL_DELETE:
            hear(fake, "delete %.*s %.*s", TEXT(change->tenant), TEXT(change->resource));
            break;
        case CONTROL_DEFAULT:
            hear(fake, "default %s", change->unknown == QUOTA_UNKNOWN_DENY ? "deny" : "allow");
            break;
        }
        buf_deinit(&rules);
        hear(fake, " if %lld by %.*s from %.*s\n", (long long)change->if_revision, TEXT(asker.who),
             TEXT(asker.from));
    }
    fake->change_done = done;
    return start(fake, arg, status);
}

static void on_refused(struct backend *backend, struct bytes tenant, struct bytes resource,
                       struct bytes attempt, const char *reason, struct control_asker asker) {
    hear(fake_of(backend), "refused %.*s %.*s '%.*s' %s by %.*s\n", TEXT(tenant), TEXT(resource), TEXT(attempt),
         reason, TEXT(asker.who));
}

static struct control_call *on_changes(struct backend *backend, const struct control_range *range,
                                       control_changes_fn done, void *arg, struct status *status) {
    struct fake_backend *fake = fake_of(backend);
    hear(fake, "changes after %llu-%llu limit %u\n", (unsigned long long)range->after_revision,
         (unsigned long long)range->after_part, (unsigned)range->limit);
    fake->changes_done = done;
    return start(fake, arg, status);
}

static void hear_bucket(struct fake_backend *fake, const char *what, struct bytes tenant, struct bytes resource,
                        struct bytes key) {
    hear(fake, "%s %.*s %.*s ", what, TEXT(tenant), TEXT(resource));
    for (size_t i = 0; i < key.len; i++) {
        hear(fake, "%02x", key.data[i]);
    }
}

static struct control_call *on_look(struct backend *backend, const struct control_bucket *bucket,
                                    const struct quota *quota, control_bucket_fn done, void *arg,
                                    struct status *status) {
    struct fake_backend *fake = fake_of(backend);
    hear_bucket(fake, "look", bucket->tenant, bucket->resource, bucket->key);
    hear(fake, "\n");
    fake->quota = quota;
    fake->bucket_done = done;
    return start(fake, arg, status);
}

static struct control_call *on_reset(struct backend *backend, const struct bucket_name *name,
                                     struct control_asker asker, control_bucket_fn done, void *arg,
                                     struct status *status) {
    struct fake_backend *fake = fake_of(backend);
    static const char *const words[] = {"reset", "reset resource", "reset tenant", "reset global"};
    hear_bucket(fake, words[name->scope], name->tenant, name->resource, name->key);
    hear(fake, " by %.*s\n", TEXT(asker.who));
    fake->bucket_done = done;
    return start(fake, arg, status);
}

static struct control_call *on_frontends(struct backend *backend, control_frontends_fn done, void *arg,
                                         struct status *status) {
    struct fake_backend *fake = fake_of(backend);
    fake->frontends_done = done;
    return start(fake, arg, status);
}

static struct hot_call *on_hotkeys(struct backend *backend, hot_survey_fn done, void *arg) {
    struct fake_backend *fake = fake_of(backend);
    fake->hotkeys_done = done;
    fake->arg = arg;
    return fake->is_down ? NULL : (struct hot_call *)(void *)fake;
}

static void on_abandon_hotkeys(struct hot_call **call) {
    struct fake_backend *fake = (struct fake_backend *)(void *)*call;
    fake->n_abandoned++;
    *call = NULL;
}

static void on_abandon(struct control_call **call) {
    struct fake_backend *fake = (struct fake_backend *)(void *)*call;
    fake->n_abandoned++;
    *call = NULL;
}

void fake_backend_init(struct fake_backend *fake) {
    static const struct backend_ops ops = {
        .is_ready = on_is_ready,
        .render_metrics = on_render,
        .quotas = on_quotas,
        .is_shared = on_is_shared,
        .id = on_id,
        .describe = on_describe,
        .change = on_change,
        .refused = on_refused,
        .changes = on_changes,
        .bucket_look = on_look,
        .bucket_reset = on_reset,
        .frontends = on_frontends,
        .abandon = on_abandon,
        .hotkeys = on_hotkeys,
        .abandon_hotkeys = on_abandon_hotkeys,
    };
    *fake = (struct fake_backend){.base.ops = &ops, .is_ready = true, .is_shared = true};
    fake->admin.backend = &fake->base;
    fake->set = quota_set_create();
    assert_non_null(fake->set);
}

void fake_backend_deinit(struct fake_backend *fake) {
    quota_set_release(&fake->set);
}

int fake_backend_set_up(void **state) {
    struct fake_backend *fake = calloc(1, sizeof *fake);
    assert_non_null(fake);
    fake_backend_init(fake);
    *state = fake;
    return 0;
}

int fake_backend_tear_down(void **state) {
    struct fake_backend *fake = *state;
    fake_backend_deinit(fake);
    free(fake);
    return 0;
}

static struct bytes bytes_of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

void fake_backend_put(struct fake_backend *fake, const char *tenant, const char *resource, const char *json,
                      uint64_t revision) {
    struct quota_rules rules;
    struct status status;
    assert_true(quota_json_read(bytes_of(json), &rules, &status));
    assert_true(quota_set_put(fake->set, bytes_of(tenant), bytes_of(resource), &rules, revision, &status));
    quota_set_set_revision(fake->set, revision);
}

struct call *fake_backend_call_head(struct fake_backend *fake, const struct call_head *head, const char *body) {
    struct call *call = call_open(&fake->admin, head);
    assert_non_null(call);
    if (body != NULL) {
        call_take_body(call, body, strlen(body));
    }
    call_run(call);
    return call;
}

struct call *fake_backend_call(struct fake_backend *fake, const char *method, const char *target,
                               const char *body) {
    struct call_head head = {.method = method,
                             .target = target,
                             .from = "192.0.2.1",
                             .content_type = body != NULL ? "application/json" : NULL};
    return fake_backend_call_head(fake, &head, body);
}

void fake_backend_expect(struct call **call, unsigned int status, const char *body) {
    struct buf *answer = &(*call)->answer.body;
    assert_true(buf_append(answer, "", 1));
    const char *text = (const char *)buf_front(answer);
    size_t len = strlen(body), whole = len;
    bool is_prefix = len >= 3 && strcmp(body + len - 3, "...") == 0;
    whole -= is_prefix ? 3 : 0;
    if ((*call)->answer.status != status || strncmp(text, body, whole) != 0 ||
        (!is_prefix && strcmp(text + whole, text[whole] == '\n' ? "\n" : "") != 0)) {
        fail_msg("%u %s\n  is not %u %s", (*call)->answer.status, text, status, body);
    }
    call_close(call);
}
