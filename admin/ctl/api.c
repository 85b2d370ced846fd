/* api.c — calls of the admin API. */
#include "admin/ctl/api.h"

#include <string.h>

#include "admin/ctl/columns.h"
#include "admin/ctl/field.h"
#include "admin/ctl/url.h"

enum { REASON_BYTES = 320, MAX_PAGES = 100000 };

void api_reply_deinit(struct api_reply *reply) {
    json_decref(reply->json);
    reply->json = NULL;
}

static json_t *parse_object(const struct buf *body) {
    if (buf_len(body) == 0) {
        return NULL;
    }
    json_t *json = json_loadb((const char *)buf_front(body), buf_len(body), JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(json)) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* "limits[0].rate: '10x/s' is not a rate", from a problem; its title when that is all there is. */
static const char *show_problem(const struct api_reply *reply, char *out) {
    char whole[2 * REASON_BYTES];
    const char *field = field_text(reply->json, "field"), *detail = field_text(reply->json, "detail");
    bool names_field = field[0] != '\0' && strncmp(detail, field, strlen(field)) != 0;
    if (detail[0] == '\0') {
        detail = field_text(reply->json, "title");
    }
    snprintf(whole, sizeof whole, "%s%s%s", names_field ? field : "", names_field ? ": " : "", detail);
    return columns_tame(whole, out, REASON_BYTES);
}

static enum api_outcome refuse(const struct api *api, const struct api_reply *reply, struct status *status) {
    char reason[REASON_BYTES];
    show_problem(reply, reason);
    const char *colon = reason[0] != '\0' ? ": " : "";
    if (reply->status == 401) {
        status_fail(status,
                    "%s refuses %s%s%s; set one by --token-file, SLUICE_TOKEN or ~/.config/sluice/config.yaml",
                    api->admin, api->token != NULL ? "this token" : "callers without a token", colon, reason);
        return API_REFUSED;
    }
    if (reply->status == 403) {
        status_fail(status, "this token may not do that%s%s; it takes one of role operator", colon, reason);
        return API_REFUSED;
    }
    if (reply->status == 412) {
        status_fail(status, "conflict%s%s", colon, reason);
        return API_CONFLICT;
    }
    if (reply->status >= 400 && reply->status < 500) {
        status_fail(status, "refused (%ld)%s%s", reply->status, colon, reason);
        return API_REFUSED;
    }
    status_fail(status, "%s cannot do it now (%ld)%s%s", api->admin, reply->status, colon, reason);
    return API_TROUBLE;
}

static enum api_outcome judge(const struct api *api, const struct api_reply *reply, struct status *status) {
    if (reply->status < 200 || reply->status > 299) {
        return refuse(api, reply, status);
    }
    if (reply->json == NULL) {
        status_fail(status,
                    "%s answered with something else than a JSON object; is it the admin address of sluiced?",
                    api->admin);
        return API_TROUBLE;
    }
    return API_DONE;
}

enum api_outcome api_call(struct api *api, const struct api_call *call, struct api_reply *reply,
                          struct status *status) {
    struct buf url = {0};
    struct http_answer answer = {0};
    enum api_outcome outcome = API_TROUBLE;
    *reply = (struct api_reply){.status = 0};
    bool has_url = buf_append(&url, api->admin, strlen(api->admin)) &&
                   buf_append(&url, call->path, strlen(call->path) + 1);
    if (!has_url) {
        status_fail(status, "out of memory");
    } else {
        struct http_request request = {
            .method = call->method,
            .url = (const char *)buf_front(&url),
            .token = api->token,
            .body = call->body,
            .header = call->header,
            .timeout_us = api->timeout_us,
        };
        if (http_client_send(api->http, &request, &answer, status)) {
            reply->status = answer.status;
            reply->json = parse_object(&answer.body);
            outcome = judge(api, reply, status);
        }
    }
    buf_deinit(&answer.body);
    buf_deinit(&url);
    return outcome;
}

static bool make_page_path(const char *path, const char *after, struct buf *whole, struct status *status) {
    buf_consume(whole, buf_len(whole));
    return (buf_append(whole, path, strlen(path)) &&
            (after == NULL ? url_append(whole, "")
                           : url_append(whole, strchr(path, '?') != NULL ? "&after=%" : "?after=%", after))) ||
           status_fail(status, "out of memory");
}

/* What `after` is for the page behind this one: `next`, which is null or absent on the last page. Borrowed. */
static bool find_next(const json_t *page, const char **after, struct status *status) {
    const json_t *next = json_object_get(page, "next");
    *after = json_string_value(next);
    return next == NULL || json_is_null(next) || *after != NULL ||
           status_fail(status, "the answer's 'next' is neither a text nor null");
}

enum api_outcome api_get_pages(struct api *api, const char *path, const char *after, api_page_fn on_page,
                               void *arg, struct status *status) {
    struct buf whole = {0};
    bool is_last = false;
    enum api_outcome outcome = make_page_path(path, after, &whole, status) ? API_DONE : API_TROUBLE;
    for (int n = 0; outcome == API_DONE && !is_last; n++) {
        struct api_reply reply;
        struct api_call call = {.method = "GET", .path = (const char *)buf_front(&whole)};
        outcome = api_call(api, &call, &reply, status);
        if (outcome == API_DONE) {
            bool is_good =
                on_page(arg, reply.json, status) && find_next(reply.json, &after, status) &&
                (n < MAX_PAGES || status_fail(status, "%s gives page after page without an end", api->admin));
            is_last = is_good && after == NULL;
            is_good = is_good && (is_last || make_page_path(path, after, &whole, status));
            outcome = is_good ? API_DONE : API_TROUBLE;
        }
        api_reply_deinit(&reply);
    }
    buf_deinit(&whole);
    return outcome;
}
