/* quota_request.h — the body of a PUT, made from what `quota set` was told. Pure but for reading a file. */
#ifndef SLUICE_CTL_QUOTA_REQUEST_H
#define SLUICE_CTL_QUOTA_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/status.h"

enum { QUOTA_REQUEST_MAX_BYTES = 64 * 1024 };

/* NULL, 0 and false: not told. */
struct quota_request {
    const char *rate, *algorithm, *name, *scope;
    int64_t burst;
    const char *mode, *on_store_failure;
    bool is_unlimited;
    const char *file; /* "-": standard input */
};

/* False with a sentence: parts that do not go together, or are missing. */
bool quota_request_check(const struct quota_request *request, struct status *status)
    __attribute__((warn_unused_result));
/* Of a request that was checked: a text to be freed, or NULL with a sentence, such as for a file that cannot be read.
 * Values are the server's to judge: it knows them best, and its refusals are audited. */
char *quota_request_make(const struct quota_request *request, struct status *status);

#endif
