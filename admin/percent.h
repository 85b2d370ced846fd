/* percent.h — percent-encoding, as in the parts of a URL's path and query. Pure functions. */
#ifndef SLUICE_ADMIN_PERCENT_H
#define SLUICE_ADMIN_PERCENT_H

#include <stdbool.h>
#include <stddef.h>

#include "server/base/bytes.h"
#include "server/base/status.h"

/* Writes the bytes that `text` stands for, any byte, into `out` and their number into `*len`. A plus is a plus. False
 * with a reason: a '%' without two hexadecimal digits, or more than `cap` bytes. `out` may hold `text` itself. */
bool percent_decode(struct bytes text, uint8_t *out, size_t cap, size_t *len, struct status *status)
    __attribute__((warn_unused_result));

#endif
