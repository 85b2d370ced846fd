/* quota_bag.h — many quotas at once, as text: from a file, or from the pages of a server.
 *
 * Every quota is kept in the one canonical form of quota_json.h, so that equal rules are equal texts. One thread. */
#ifndef SLUICE_CTL_QUOTA_BAG_H
#define SLUICE_CTL_QUOTA_BAG_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "server/base/buf.h"
#include "server/base/status.h"

struct quota_item {
    char *tenant, *resource;
    char *text;       /* JSON */
    int64_t revision; /* 0: unknown, from a file */
};

struct quota_bag {
    struct quota_item *items;
    size_t n, cap;
    bool has_default; /* it was stated */
    bool is_deny;     /* what no quota matches is denied */
};

/* An all-zero bag is an empty one. Deinit frees and leaves an empty one. */
void quota_bag_deinit(struct quota_bag *bag);

/* Reads a quota file, YAML or JSON of that form, or what `quota list --json` prints, from `path` ("-" is standard
 * input) or from its text, into an empty bag; sorted. All of it or nothing, with "file:line: field: reason". */
bool quota_bag_read_file(struct quota_bag *bag, const char *path, struct status *status)
    __attribute__((warn_unused_result));
bool quota_bag_read_text(struct quota_bag *bag, const char *name, const char *text, size_t len,
                         struct status *status) __attribute__((warn_unused_result));

/* Adds a page of GET /v1/quotas. False with a reason: what is no page, or no memory. An api_page_fn. */
bool quota_bag_add_page(void *bag, const json_t *page, struct status *status)
    __attribute__((warn_unused_result));
/* By tenant, then by resource, bytewise. */
void quota_bag_sort(struct quota_bag *bag);
int quota_item_compare(const struct quota_item *a, const struct quota_item *b);

/* Writes a sorted bag as a quota file. False when it cannot be written, or memory is short. */
bool quota_bag_write_yaml(const struct quota_bag *bag, FILE *out) __attribute__((warn_unused_result));

#endif
