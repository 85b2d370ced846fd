/* problem.h — what is wrong with a call, as JSON of the type application/problem+json (RFC 9457).
 *
 *   {"type":"about:blank","title":"Bad Request","status":400,"detail":"'10x/s' is not a rate","field":"limits[0].rate"} */
#ifndef SLUICE_ADMIN_PROBLEM_H
#define SLUICE_ADMIN_PROBLEM_H

#include <stdbool.h>
#include <stddef.h>

#define PROBLEM_CONTENT_TYPE "application/problem+json"

enum { PROBLEM_FIELD_BYTES = 160 };

struct json_t;

/* A new value, or NULL when memory is short. `field` may be NULL. */
struct json_t *problem_create(unsigned int status, const char *field, const char *detail);
/* "Not Found"; of the statuses that are used here. */
const char *problem_title(unsigned int status);

/* Splits "limits[0].rate: reason": copies the field, cut when it is too long, and returns the reason, which is part of
 * `text`. Without a field it is empty. */
const char *problem_split(const char *text, char field[PROBLEM_FIELD_BYTES]);

#endif
