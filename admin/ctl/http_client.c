/* http_client.c — requests by libcurl's easy interface, on a connection that is kept. */
#include "admin/ctl/http_client.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/units.h"

struct http_client {
    CURL *curl;
};

struct http_client *http_client_create(void) {
    struct http_client *client = calloc(1, sizeof *client);
    if (client == NULL) {
        return NULL;
    }
    client->curl = curl_easy_init();
    if (client->curl == NULL) {
        free(client);
        return NULL;
    }
    return client;
}

void http_client_destroy(struct http_client **client) {
    if (*client != NULL) {
        curl_easy_cleanup((*client)->curl);
        free(*client);
    }
    *client = NULL;
}

/* libcurl's write callback: a return value other than the size ends the transfer. */
static size_t on_body(char *bytes, size_t one, size_t n_bytes, void *arg) {
    struct buf *body = arg;
    (void)one;
    bool is_kept = buf_len(body) + n_bytes <= HTTP_CLIENT_MAX_BYTES && buf_append(body, bytes, n_bytes);
    return is_kept ? n_bytes : 0;
}

/* Adds a header to a list that may still be NULL; frees the list and nulls it when memory is short. */
static bool add_header(struct curl_slist **headers, const char *text) {
    struct curl_slist *longer = curl_slist_append(*headers, text);
    if (longer == NULL) {
        curl_slist_free_all(*headers);
    }
    *headers = longer;
    return longer != NULL;
}

static struct curl_slist *make_headers(const struct http_request *request) {
    struct curl_slist *headers = NULL;
    bool is_good = add_header(&headers, "Accept: application/json, application/problem+json") &&
                   add_header(&headers, "Expect:") &&
                   (request->body == NULL || add_header(&headers, "Content-Type: application/json")) &&
                   (request->header == NULL || add_header(&headers, request->header));
    return is_good ? headers : NULL;
}

/* The handle keeps its connections over a reset, but no option of the request before. */
static void set_options(CURL *curl, const struct http_request *request, const struct curl_slist *headers,
                        struct buf *body) {
    int64_t timeout_ms = request->timeout_us / 1000;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, request->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(timeout_ms > 0 ? timeout_ms : 1));
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "sluicectl/" SLUICE_VERSION);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    if (request->token != NULL) {
        curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, request->token);
    }
    if (request->body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(request->body));
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
    }
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
}

/* "http://127.0.0.1:7381" of a whole URL. */
static struct units_shown show_server(const char *url) {
    const char *host = strstr(url, "://");
    host = host == NULL ? url : host + 3;
    return units_show_text((struct bytes){(const uint8_t *)url, (size_t)(host - url) + strcspn(host, "/")});
}

static int explain(const struct http_request *request, CURLcode code, const char *detail, size_t n_body,
                   struct status *status) {
    struct units_shown shown = show_server(request->url);
    const char *server = shown.text;
    const char *reason = detail[0] != '\0' ? detail : curl_easy_strerror(code);
    if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST) {
        return status_fail(status, "%s: %s; is sluiced running, and is this its admin address? (--admin)",
                           server, reason);
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return status_fail(status, "%s: no whole answer within %s; allow more with --timeout", server,
                           units_show_duration(request->timeout_us).text);
    }
    if (code == CURLE_WRITE_ERROR) {
        return status_fail(status, "%s: %s", server,
                           n_body > HTTP_CLIENT_MAX_BYTES / 2 ? "the answer is too large" : "out of memory");
    }
    return status_fail(status, "%s: %s", server, reason);
}

static bool end_with_nul(struct buf *body) {
    uint8_t *end = buf_len(body) > 0 ? buf_reserve(body, 1) : NULL;
    if (end != NULL) {
        *end = '\0';
    }
    return end != NULL || buf_len(body) == 0;
}

bool http_client_send(struct http_client *client, const struct http_request *request,
                      struct http_answer *answer, struct status *status) {
    char detail[CURL_ERROR_SIZE] = "";
    *answer = (struct http_answer){.status = 0};
    struct curl_slist *headers = make_headers(request);
    if (headers == NULL) {
        return status_fail(status, "out of memory");
    }
    set_options(client->curl, request, headers, &answer->body);
    curl_easy_setopt(client->curl, CURLOPT_ERRORBUFFER, detail);
    CURLcode code = curl_easy_perform(client->curl);
    curl_easy_setopt(client->curl, CURLOPT_ERRORBUFFER, NULL);
    curl_slist_free_all(headers);
    if (code == CURLE_OK && end_with_nul(&answer->body)) {
        curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &answer->status);
        return true;
    }
    explain(request, code == CURLE_OK ? CURLE_WRITE_ERROR : code, detail, buf_len(&answer->body), status);
    buf_deinit(&answer->body);
    return false;
}
