/* api.h — calls of the admin API: JSON in, JSON out, and what a refusal means to the person who asked.
 *
 * Knows the forms that all calls share, not what any of them is for. Blocking; one thread. */
#ifndef SLUICE_CTL_API_H
#define SLUICE_CTL_API_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "admin/ctl/http_client.h"
#include "server/base/status.h"

struct api {
    struct http_client *http;
    const char *admin; /* "http://127.0.0.1:7381"; borrowed */
    const char *token; /* NULL: none; borrowed */
    int64_t timeout_us;
};

enum api_outcome {
    API_DONE,     /* it is so */
    API_REFUSED,  /* the server says no: asking again will not help */
    API_CONFLICT, /* no, since somebody else changed it; the reply holds what is there now */
    API_TROUBLE,  /* no answer, or one that decides nothing */
};

struct api_call {
    const char *method;
    const char *path;   /* "/v1/quotas?limit=10", encoded as needed */
    const char *body;   /* JSON; NULL: none */
    const char *header; /* NULL: none */
};

struct api_reply {
    long status;  /* HTTP's; 0: there was no answer */
    json_t *json; /* an object: always when done, maybe (a problem) otherwise; to be released */
};

/* Makes one call. `status` has the sentence unless it is done; it is cut from what the server wrote. */
enum api_outcome api_call(struct api *api, const struct api_call *call, struct api_reply *reply,
                          struct status *status) __attribute__((warn_unused_result));
/* Releases the JSON and nulls it. */
void api_reply_deinit(struct api_reply *reply);

/* GETs a list page by page, the first one from `after` on (NULL: from the beginning), and hands over each page,
 * which is borrowed, until there is no more (`next` is null). When `on_page` returns false, with a sentence in
 * `status`, that is trouble too. */
typedef bool (*api_page_fn)(void *arg, const json_t *page, struct status *status);
enum api_outcome api_get_pages(struct api *api, const char *path, const char *after, api_page_fn on_page,
                               void *arg, struct status *status) __attribute__((warn_unused_result));

#endif
