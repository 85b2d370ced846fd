/* quota_form.h — the fields of a quota: their names, what each takes, what it means when it is not given.
 *
 * Shared by those who read quotas from a file and from JSON: they find the texts, here it is said what is in them.
 * Pure functions. */
#ifndef SLUICE_QUOTA_QUOTA_FORM_H
#define SLUICE_QUOTA_QUOTA_FORM_H

#include <stdbool.h>

#include "server/base/bytes.h"
#include "server/base/status.h"
#include "server/base/units.h"
#include "server/base/yaml_file.h"
#include "server/core/quota.h"

enum quota_field {
    QUOTA_FIELD_LIMITS,
    QUOTA_FIELD_ON_STORE_FAILURE,
    QUOTA_FIELD_MODE,
    QUOTA_FIELD_UNLIMITED,
    QUOTA_N_FIELDS
};
enum quota_limit_field {
    QUOTA_LIMIT_NAME,
    QUOTA_LIMIT_ALGORITHM,
    QUOTA_LIMIT_RATE,
    QUOTA_LIMIT_BURST,
    QUOTA_LIMIT_SCOPE,
    QUOTA_N_LIMIT_FIELDS
};
extern const struct yaml_field quota_fields[QUOTA_N_FIELDS];
extern const struct yaml_field quota_limit_fields[QUOTA_N_LIMIT_FIELDS];

/* In what follows a text whose data is NULL was not given. When false is returned, `*field` is the one that is
 * wrong, or QUOTA_N_FIELDS or QUOTA_N_LIMIT_FIELDS for the whole, and `reason` says why without naming it. */

/* Begins the rules with all but the limits. texts[QUOTA_FIELD_LIMITS] only tells whether there are any. Unless the
 * rules are unlimited then, limits are to follow. */
bool quota_form_begin(struct quota_rules *rules, const struct bytes texts[QUOTA_N_FIELDS],
                      enum quota_field *field, struct status *reason) __attribute__((warn_unused_result));
/* Adds the next limit. */
bool quota_form_add_limit(struct quota_rules *rules, const struct bytes texts[QUOTA_N_LIMIT_FIELDS],
                          enum quota_limit_field *field, struct status *reason)
    __attribute__((warn_unused_result));

/* The rate of a limit whose algorithm is set: of a window its number and period. 0 makes it a ban. */
bool quota_form_read_rate(struct bytes text, struct bucket_limit *limit, struct status *reason)
    __attribute__((warn_unused_result));
struct units_shown quota_form_show_rate(const struct bucket_limit *limit);

/* The words as they are read. */
const char *quota_form_algorithm_word(enum bucket_algorithm algorithm);
const char *quota_form_failure_word(enum quota_on_store_failure on_store_failure);
const char *quota_form_mode_word(enum quota_mode mode);
const char *quota_form_scope_word(enum bucket_scope scope);
/* False when it is none. */
bool quota_form_read_scope(struct bytes word, enum bucket_scope *scope) __attribute__((warn_unused_result));

#endif
