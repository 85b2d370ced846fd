/* url.h — paths and queries with any bytes in them. Pure. */
#ifndef SLUICE_CTL_URL_H
#define SLUICE_CTL_URL_H

#include <stdbool.h>

#include "server/base/buf.h"

/* Appends `form`, and a NUL that the buffer does not count; each '%' in it stands for the next argument, a
 * `const char *`, percent-encoded: "/v1/tenants/%/quotas/%". False when memory is short. */
bool url_append(struct buf *url, const char *form, ...) __attribute__((warn_unused_result));

#endif
