/* quota_json.h — one quota as JSON: read strictly, written in one canonical form.
 *
 *   {"limits":[{"name":"second","algorithm":"token_bucket","rate":"100/s","burst":200,"scope":"key"}],
 *    "on_store_failure":"local","mode":"enforce"}
 *   {"unlimited":true}
 *
 * Fields, defaults and reasons for refusal are those of the quota file (quota_form.h). What is written has all
 * fields in this order, no spaces, limits of scope key first, and rates by the shortest period that needs no fraction: equal rules give equal
 * bytes, and what is written is read back as the same rules. Pure functions; any thread. */
#ifndef SLUICE_QUOTA_QUOTA_JSON_H
#define SLUICE_QUOTA_QUOTA_JSON_H

#include <stdbool.h>

#include "server/base/buf.h"
#include "server/base/bytes.h"
#include "server/base/status.h"
#include "server/core/quota.h"

enum { QUOTA_JSON_MAX_BYTES = 64 * 1024 };

struct json_t; /* jansson's */

/* Both set all of `rules`, checked, or return false with "field: reason" in `status`, the field being a path such as
 * limits[0].rate (there is none when the whole is meant); `rules` is undefined then. */
bool quota_json_read(struct bytes text, struct quota_rules *rules, struct status *status)
    __attribute__((warn_unused_result));
/* The same of a value that stands in a larger document, which was loaded with JSON_REJECT_DUPLICATES; `path` says
 * where ("changes[3].quota") and goes before the field; "" for nowhere. */
bool quota_json_read_value(struct json_t *value, const char *path, struct quota_rules *rules,
                           struct status *status) __attribute__((warn_unused_result));

/* Appends the canonical form of rules that were checked. False when memory is short (nothing changed). */
bool quota_json_write(const struct quota_rules *rules, struct buf *out) __attribute__((warn_unused_result));

#endif
