/* api.c — calls of the admin API. */
#include "admin/ctl/api.h"

#include <string.h>

#include "admin/ctl/columns.h"
#include "admin/ctl/field.h"
#include "admin/ctl/url.h"

enum {
    DETAIL_BYTES = 320,
    FIELD_BYTES = 128,
    PROBLEM_BYTES = DETAIL_BYTES + FIELD_BYTES + 8,
    MAX_PAGES = 100000
};

void api_reply_deinit(struct api_reply *reply) {
    json_decref(reply->json);
    reply->json = NULL;
}

static json_t *parse_object(const struct buf *body) {
    if (buf_len(body) == 0) {
        return NULL;
    }
    json_t *json =
        json_loadb((const char *)buf_front(body), buf_len(body), JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    if (!json_is_object(json)) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* What a problem says, its title when that is all there is. */
static const char *show_detail(const struct api_reply *reply, char *out) {
    const char *detail = field_text(reply->json, "detail");
    return columns_tame(detail[0] != '\0' ? detail : field_text(reply->json, "title"), out, DETAIL_BYTES);
}

/* ": limits[0].rate: '10x/s' is not a rate", with the field that it is about; "" when nothing is said. */
static const char *show_problem(const struct api_reply *reply, char *out) {
    char detail[DETAIL_BYTES], field[FIELD_BYTES];
    show_detail(reply, detail);
    columns_tame(field_text(reply->json, "field"), field, sizeof field);
    bool names_field = field[0] != '\0' && strncmp(detail, field, strlen(field)) != 0;
    snprintf(out, PROBLEM_BYTES, "%s%s%s%s", detail[0] != '\0' ? ": " : "", names_field ? field : "",
             names_field ? ": " : "", detail);
    return out;
}

static enum api_outcome refuse(const struct api *api, const struct api_reply *reply, struct status *status) {
    char text[PROBLEM_BYTES];
    if (reply->status == 401) {
        status_fail(status,
                    "%s refuses %s; set one by --token-file, SLUICE_TOKEN or ~/.config/sluice/config.yaml",
                    api->admin, api->token != NULL ? "this token" : "callers without a token");
        return API_REFUSED;
    }
    if (reply->status == 403) {
        status_fail(status, "not allowed: %s", show_detail(reply, text));
        return API_REFUSED;
    }
    if (reply->status == 412) {
        status_fail(status, "conflict: %s", show_detail(reply, text));
        return API_CONFLICT;
    }
    show_problem(reply, text);
    if (reply->status >= 400 && reply->status < 500) {
        status_fail(status, "refused (%ld)%s", reply->status, text);
        return API_REFUSED;
    }
    status_fail(status, "%s cannot do it now (%ld)%s", api->admin, reply->status, text);
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
