/* status.h — one sentence about what went wrong, for a person.
 *
 * A function that can fail for a reason an operator must read returns false and fills a struct status. */
#ifndef SLUICE_BASE_STATUS_H
#define SLUICE_BASE_STATUS_H

enum { STATUS_TEXT_BYTES = 512 };

struct status {
    char text[STATUS_TEXT_BYTES]; /* NUL-terminated, cut if longer */
};

/* Writes the sentence; `status` may be NULL. Always returns 0 (false), so `return status_fail(...)` reads well. */
int status_fail(struct status *status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
