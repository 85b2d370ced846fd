/* quota_line.h — a quota in JSON as one line for people: "second 100/s burst 200, day 1000000/day burst 5000".
 *
 * Pure. Parts that cannot be made out are left out: it shows, it does not judge. */
#ifndef SLUICE_CTL_QUOTA_LINE_H
#define SLUICE_CTL_QUOTA_LINE_H

#include <jansson.h>

enum { QUOTA_LINE_BYTES = 512 };

/* Returned by value, so that several fit into one printf. */
struct quota_line {
    char text[QUOTA_LINE_BYTES]; /* cut if longer */
};

/* A limit's name and algorithm are shown when they are not token_bucket, mode and failure policy when they are not
 * enforce and local. "none" for a NULL or null. */
struct quota_line quota_line_show(const json_t *quota);
/* The same for its text; "" is "none" too. */
struct quota_line quota_line_show_text(const char *text);

#endif
