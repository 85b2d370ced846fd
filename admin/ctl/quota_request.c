/* quota_request.c — a quota's JSON from flags, or from a file. */
#include "admin/ctl/quota_request.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *read_stream(FILE *stream, const char *name, struct status *status) {
    char *text = malloc(QUOTA_REQUEST_MAX_BYTES + 2);
    if (text == NULL) {
        status_fail(status, "out of memory");
        return NULL;
    }
    size_t n = fread(text, 1, QUOTA_REQUEST_MAX_BYTES + 1, stream);
    bool is_good = ferror(stream) ? status_fail(status, "%s: %s", name, strerror(errno)) != 0
                   : n == 0       ? status_fail(status, "%s: there is nothing in it", name) != 0
                   : n > QUOTA_REQUEST_MAX_BYTES || memchr(text, '\0', n) != NULL
                       ? status_fail(status, "%s: a quota is a text of at most %d bytes", name,
                                     QUOTA_REQUEST_MAX_BYTES) != 0
                       : true;
    if (!is_good) {
        free(text);
        return NULL;
    }
    text[n] = '\0';
    return text;
}

static char *read_file(const char *path, struct status *status) {
    if (strcmp(path, "-") == 0) {
        return read_stream(stdin, "standard input", status);
    }
    FILE *stream = fopen(path, "rbe");
    if (stream == NULL) {
        status_fail(status, "%s: %s", path, strerror(errno));
        return NULL;
    }
    char *text = read_stream(stream, path, status);
    fclose(stream);
    return text;
}

/* What was not told is left out, for the server's defaults. */
static json_t *make_limit(const struct quota_request *request) {
    return json_pack("{s:s*, s:s*, s:s, s:o*, s:s*}", "name", request->name, "algorithm", request->algorithm,
                     "rate", request->rate, "burst", request->burst > 0 ? json_integer(request->burst) : NULL,
                     "scope", request->scope);
}

static json_t *make_quota(const struct quota_request *request) {
    if (request->is_unlimited) {
        return json_pack("{s:b}", "unlimited", 1);
    }
    return json_pack("{s:[o], s:s*, s:s*}", "limits", make_limit(request), "on_store_failure",
                     request->on_store_failure, "mode", request->mode);
}

bool quota_request_check(const struct quota_request *request, struct status *status) {
    bool has_limit_parts =
        request->algorithm != NULL || request->name != NULL || request->scope != NULL || request->burst > 0;
    bool has_quota_parts = request->mode != NULL || request->on_store_failure != NULL;
    int n_ways = (request->rate != NULL) + request->is_unlimited + (request->file != NULL);
    if (n_ways != 1) {
        return status_fail(status, "%s: give one of --rate, --unlimited and --file",
                           n_ways == 0 ? "what shall be set?" : "these do not go together");
    }
    if (request->rate == NULL && (has_limit_parts || has_quota_parts)) {
        return status_fail(
            status, "--burst, --algorithm, --name, --scope, --mode and --on-store-failure go with --rate; %s",
            request->file != NULL ? "the file says everything" : "an unlimited quota has none of them");
    }
    return true;
}

char *quota_request_make(const struct quota_request *request, struct status *status) {
    if (request->file != NULL) {
        return read_file(request->file, status);
    }
    json_t *quota = make_quota(request);
    char *text = quota == NULL ? NULL : json_dumps(quota, JSON_COMPACT);
    json_decref(quota);
    if (text == NULL) {
        status_fail(status, "out of memory, or a text that is not UTF-8");
    }
    return text;
}
