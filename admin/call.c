/* call.c — one call of the admin endpoint; see call.h. */
#include "admin/call.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "admin/percent.h"
#include "admin/problem.h"
#include "server/base/ensure.h"
#include "server/base/units.h"

enum { CALL_MAGIC = 0x63a11ed5 };

#define JSON_CONTENT_TYPE "application/json"

static struct bytes bytes_of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

/* ---- judging the head ---- */

/* "Bearer TOKEN"; empty when it is anything else. */
static struct bytes token_in(const char *authorization) {
    static const char scheme[] = "Bearer ";
    size_t len = sizeof scheme - 1;
    return authorization != NULL && strncasecmp(authorization, scheme, len) == 0 ? bytes_of(authorization + len)
                                                                                 : bytes_of("");
}

static void refuse_caller(struct call *call, const char *field, const char *reason) {
    call->answer.asks_for_token = true;
    call_refuse(call, 401, field, "%s", reason);
}

static bool is_known(struct call *call, const struct call_head *head, enum token_role *role) {
    const struct tokens *tokens = call->admin->tokens;
    *role = TOKEN_OPERATOR;
    if (tokens == NULL) {
        snprintf(call->who, sizeof call->who, "local");
        return true;
    }
    if (head->authorization == NULL) {
        refuse_caller(call, "Authorization", "a token is needed: Authorization: Bearer TOKEN");
        return false;
    }
    const struct token *token = tokens_find(tokens, token_in(head->authorization));
    if (token == NULL) {
        refuse_caller(call, "Authorization", "this token is nobody's");
        return false;
    }
    snprintf(call->who, sizeof call->who, "%s", token->name);
    *role = token->role;
    return true;
}

/* A page in an operator's browser must not act for them: it sends an Origin with whatever changes anything, and where
 * there are no tokens nothing else would stop it. */
static bool may_call(struct call *call, const struct call_head *head) {
    enum token_role role;
    if (!is_known(call, head, &role)) {
        return false;
    }
    if (call->route->access != ROUTE_CHANGES) {
        return true;
    }
    if (role != TOKEN_OPERATOR) {
        call_refuse(call, 403, "Authorization", "%s is a viewer; changes need an operator", call->who);
        return false;
    }
    if (call->admin->tokens == NULL && head->origin != NULL) {
        call_refuse(call, 403, "Origin", "without tokens, changes are not taken from web pages");
        return false;
    }
    call->is_operator = true;
    return true;
}

static bool read_parts(struct call *call, const struct route_match *match) {
    static const size_t max_bytes[ROUTE_N_PARTS] = {[ROUTE_TENANT] = QUOTA_TENANT_MAX_BYTES,
                                                    [ROUTE_RESOURCE] = QUOTA_RESOURCE_MAX_BYTES,
                                                    [ROUTE_KEY] = QUOTA_KEY_MAX_BYTES};
    uint8_t *room = call->room;
    for (size_t i = 0; i < ROUTE_N_PARTS; i++) {
        struct status reason;
        size_t len;
        if (match->parts[i].data == NULL) {
            continue;
        }
        if (!percent_decode(match->parts[i], room, max_bytes[i], &len, &reason)) {
            call_refuse(call, 400, route_part_name((enum route_part)i), "%s", reason.text);
            return false;
        }
        call->parts[i] = (struct bytes){.data = room, .len = len};
        room += len;
    }
    return true;
}

static bool is_json_type(const char *content_type) {
    size_t len = strlen(JSON_CONTENT_TYPE);
    return content_type != NULL && strncasecmp(content_type, JSON_CONTENT_TYPE, len) == 0 &&
           (content_type[len] == '\0' || content_type[len] == ';' || content_type[len] == ' ');
}

static void refuse_size(struct call *call) {
    uint32_t max_bytes = call->route->max_body_bytes;
    if (max_bytes == 0) {
        call_refuse(call, 413, "body", "this call takes no body");
    } else {
        call_refuse(call, 413, "body", "is larger than %s", units_show_bytes(max_bytes).text);
    }
}

/* The length is libmicrohttpd's to check; here it only spares the reading. */
static bool judge_body(struct call *call, const struct call_head *head) {
    if (call->route->max_body_bytes == 0) {
        return true;
    }
    if (!is_json_type(head->content_type)) {
        call_refuse(call, 415, "Content-Type", "must be " JSON_CONTENT_TYPE);
        return false;
    }
    if (head->content_length != NULL &&
        strtoull(head->content_length, NULL, 10) > call->route->max_body_bytes) {
        refuse_size(call);
        return false;
    }
    return true;
}

static void keep_header(const char *value, bool *has, char kept[CALL_HEADER_BYTES]) {
    *has = value != NULL;
    snprintf(kept, CALL_HEADER_BYTES, "%s", value != NULL ? value : "");
}

static void judge(struct call *call, const struct call_head *head) {
    struct bytes path = {.data = (const uint8_t *)head->target, .len = strcspn(head->target, "?")};
    struct bytes query = bytes_of(head->target + path.len + (head->target[path.len] == '?'));
    struct route_match match;
    struct status status;
    routes_find(head->method, path, &match);
    if (match.route == NULL && match.allow[0] != '\0') {
        memcpy(call->answer.allow, match.allow, sizeof match.allow);
        call_refuse(call, 405, NULL, "this path has the methods %s", match.allow);
        return;
    }
    if (match.route == NULL) {
        call_refuse(call, 404, NULL, "there is nothing at this path; admin/API.md has a list");
        return;
    }
    call->route = match.route;
    keep_header(head->if_match, &call->has_if_match, call->if_match);
    keep_header(head->if_none_match, &call->has_if_none_match, call->if_none_match);
    if (call->route->access == ROUTE_OPEN) {
        return;
    }
    if (!may_call(call, head) || !read_parts(call, &match)) {
        return;
    }
    if (!query_read(query, call->route->query, &call->query, &status)) {
        call_refuse_field(call, &status);
        return;
    }
    (void)judge_body(call, head);
}

/* ---- lifecycle ---- */

struct call *call_open(const struct admin *admin, const struct call_head *head) {
    struct call *call = calloc(1, sizeof *call);
    if (call == NULL) {
        return NULL;
    }
    call->magic = CALL_MAGIC;
    call->admin = admin;
    snprintf(call->from, sizeof call->from, "%s", head->from);
    judge(call, head);
    return call;
}

void call_take_body(struct call *call, const void *bytes, size_t n_bytes) {
    if (call_is_answered(call) || n_bytes == 0 || call->route->access != ROUTE_CHANGES) {
        return; /* where a body means nothing it is not even counted */
    }
    if (n_bytes > call->route->max_body_bytes - buf_len(&call->body)) {
        refuse_size(call);
    } else if (!buf_append(&call->body, bytes, n_bytes)) {
        call_refuse(call, 500, NULL, "out of memory");
    }
}

void call_run(struct call *call) {
    if (call_is_answered(call)) {
        return;
    }
    if (call->route->max_body_bytes > 0 && buf_len(&call->body) == 0) {
        call_refuse(call, 400, "body", "is empty; JSON is needed");
        return;
    }
    call->route->handle(call);
    ensure(call_is_answered(call) || call->pending != NULL || call->survey != NULL, ==, true);
}

/* Drops what is under way, if anything. */
static void abandon(struct call *call) {
    const struct backend_ops *ops = call_backend(call)->ops;
    if (call->pending != NULL) {
        ops->abandon(&call->pending);
    }
    if (call->survey != NULL) {
        ops->abandon_hotkeys(&call->survey);
    }
}

void call_close(struct call **handle) {
    struct call *call = *handle;
    *handle = NULL;
    if (call == NULL) {
        return;
    }
    abandon(call);
    buf_deinit(&call->body);
    buf_deinit(&call->answer.body);
    free(call->state);
    call->magic = 0;
    free(call);
}

void call_give_up(struct call *call, const char *reason) {
    abandon(call);
    call_refuse_unavailable(call, reason);
}

struct call *call_of(void *arg) {
    struct call *call = arg;
    ensure(call->magic, ==, CALL_MAGIC);
    call->pending = NULL;
    call->survey = NULL;
    return call;
}

struct control_asker call_asker(const struct call *call) {
    return (struct control_asker){.who = bytes_of(call->who), .from = bytes_of(call->from)};
}

/* ---- answers ---- */

void call_answer_body(struct call *call, unsigned int status, const char *content_type) {
    ensure(call->answer.status, ==, 0U);
    call->answer.status = status;
    call->answer.content_type = content_type;
    if (call->on_answer != NULL) {
        call->on_answer(call->arg);
    }
}

void call_answer_text(struct call *call, unsigned int status, const char *content_type, const char *text) {
    buf_consume(&call->answer.body, buf_len(&call->answer.body));
    bool is_written = buf_append(&call->answer.body, text, strlen(text));
    call_answer_body(call, is_written ? status : 500, content_type);
}

static int append_json(const char *text, size_t n_bytes, void *arg) {
    return buf_append(arg, text, n_bytes) ? 0 : -1;
}

static void answer_value(struct call *call, unsigned int status, const char *content_type, json_t *value) {
    struct buf *body = &call->answer.body;
    bool is_written = value != NULL && json_dump_callback(value, append_json, body, JSON_COMPACT) == 0 &&
                      buf_append(body, "\n", 1);
    json_decref(value);
    if (!is_written) {
        buf_consume(body, buf_len(body));
        status = 500;
    }
    call_answer_body(call, status, content_type);
}

void call_answer_json(struct call *call, unsigned int status, struct json_t *value) {
    answer_value(call, status, JSON_CONTENT_TYPE, value);
}

struct json_t *call_read_json(struct call *call) {
    json_error_t error;
    json_t *value =
        json_loadb((const char *)buf_front(&call->body), buf_len(&call->body), JSON_REJECT_DUPLICATES, &error);
    if (value == NULL && json_error_code(&error) == json_error_out_of_memory) {
        call_refuse(call, 500, NULL, "out of memory");
    } else if (value == NULL) {
        call_refuse(call, 400, "body", "is not good JSON: line %d, column %d: %s", error.line, error.column,
                    units_show_text(bytes_of(error.text)).text);
    }
    return value;
}

void call_set_etag(struct call *call, uint64_t revision) {
    snprintf(call->answer.etag, sizeof call->answer.etag, "\"%llu\"", (unsigned long long)revision);
}

/* Tells the audit of what an operator was refused; a Redis that cannot is no refusal. */
static void note_refusal(struct call *call, unsigned int status, const char *field, const char *reason) {
    if (!call->is_operator || status >= 500) {
        return;
    }
    struct status detail;
    status_fail(&detail, "%s%s%s", field != NULL ? field : "", field != NULL ? ": " : "", reason);
    struct bytes attempt = {.data = NULL};
    if (buf_len(&call->body) > 0) {
        attempt = (struct bytes){.data = buf_front(&call->body), .len = buf_len(&call->body)};
    }
    struct backend *backend = call_backend(call);
    if (backend->ops->is_shared(backend)) {
        backend->ops->refused(backend, call->parts[ROUTE_TENANT], call->parts[ROUTE_RESOURCE], attempt,
                              detail.text, call_asker(call));
    }
}

void call_refuse_with(struct call *call, unsigned int status, const char *field, struct json_t *more,
                      const char *reason) {
    note_refusal(call, status, field, reason);
    json_t *problem = problem_create(status, field, reason);
    if (problem != NULL && more != NULL) {
        (void)json_object_update_missing(problem, more);
    }
    json_decref(more);
    answer_value(call, status, PROBLEM_CONTENT_TYPE, problem);
}

void call_refuse(struct call *call, unsigned int status, const char *field, const char *format, ...) {
    struct status reason;
    va_list args;
    va_start(args, format);
    vsnprintf(reason.text, sizeof reason.text, format, args);
    va_end(args);
    call_refuse_with(call, status, field, NULL, reason.text);
}

void call_refuse_field(struct call *call, const struct status *status) {
    char field[PROBLEM_FIELD_BYTES];
    const char *reason = problem_split(status->text, field);
    call_refuse_with(call, 400, field[0] != '\0' ? field : NULL, NULL, reason);
}

void call_refuse_unavailable(struct call *call, const char *reason) {
    call->answer.retry_after_s = CALL_RETRY_AFTER_S;
    call_refuse_with(call, 503, NULL, NULL, reason);
}

void call_refuse_change(struct call *call, const struct control_change_result *result) {
    struct status reason;
    status_fail(&reason, "%.300s%s", result->reason,
                result->may_be_made ? "; nobody knows whether the change was made" : "");
    call_refuse_unavailable(call, reason.text);
}

void call_wait_survey(struct call *call, struct hot_call *survey) {
    call->survey = survey;
    if (survey == NULL) {
        call_refuse(call, 500, NULL, "out of memory");
    }
}

void call_wait(struct call *call, struct control_call *pending, const struct status *status) {
    if (pending == NULL) {
        call_refuse_unavailable(call, status->text);
        return;
    }
    call->pending = pending;
}
