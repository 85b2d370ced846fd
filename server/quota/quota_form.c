/* quota_form.c — the fields of a quota; see quota_form.h. */
#include "server/quota/quota_form.h"

#include <string.h>

#include "server/base/units.h"

const struct yaml_field quota_fields[QUOTA_N_FIELDS] = {
    [QUOTA_FIELD_LIMITS] = {"limits", false},
    [QUOTA_FIELD_ON_STORE_FAILURE] = {"on_store_failure", false},
    [QUOTA_FIELD_MODE] = {"mode", false},
    [QUOTA_FIELD_UNLIMITED] = {"unlimited", false},
};

const struct yaml_field quota_limit_fields[QUOTA_N_LIMIT_FIELDS] = {
    [QUOTA_LIMIT_NAME] = {"name", false},   [QUOTA_LIMIT_ALGORITHM] = {"algorithm", false},
    [QUOTA_LIMIT_RATE] = {"rate", true},    [QUOTA_LIMIT_BURST] = {"burst", false},
    [QUOTA_LIMIT_SCOPE] = {"scope", false},
};

/* What a field takes, by the value it stands for. */
struct words {
    const char *expected; /* completes "'x' is ..." */
    const char *words[5]; /* NULL behind the last */
};

static const struct words algorithms = {"none of token_bucket, leaky_bucket, fixed_window and sliding_window",
                                        {[BUCKET_TOKEN] = "token_bucket",
                                         [BUCKET_LEAKY] = "leaky_bucket",
                                         [BUCKET_FIXED_WINDOW] = "fixed_window",
                                         [BUCKET_SLIDING_WINDOW] = "sliding_window"}};
static const struct words failures = {
    "none of local, allow and deny",
    {[QUOTA_FAILS_LOCAL] = "local", [QUOTA_FAILS_ALLOW] = "allow", [QUOTA_FAILS_DENY] = "deny"}};
static const struct words modes = {"neither enforce nor shadow",
                                   {[QUOTA_ENFORCED] = "enforce", [QUOTA_IN_SHADOW] = "shadow"}};
static const struct words truths = {"neither true nor false", {"false", "true"}};
static const struct words scopes = {"none of key, resource, tenant and global",
                                    {[BUCKET_PER_KEY] = "key",
                                     [BUCKET_PER_RESOURCE] = "resource",
                                     [BUCKET_PER_TENANT] = "tenant",
                                     [BUCKET_GLOBAL] = "global"}};

/* The place of the word, or of the first one when none is given. */
static bool read_word(struct bytes text, const struct words *words, unsigned *value, struct status *reason) {
    *value = 0;
    if (text.data == NULL) {
        return true;
    }
    for (unsigned i = 0; i < sizeof words->words / sizeof words->words[0] && words->words[i] != NULL; i++) {
        if (text.len == strlen(words->words[i]) && memcmp(text.data, words->words[i], text.len) == 0) {
            *value = i;
            return true;
        }
    }
    return status_fail(reason, "'%s' is %s", units_show_text(text).text, words->expected);
}

/* ---- one limit ---- */

static bool read_algorithm(struct bytes text, struct bucket_limit *limit, struct status *reason) {
    unsigned value;
    bool is_good = read_word(text, &algorithms, &value, reason);
    limit->algorithm = (enum bucket_algorithm)value;
    return is_good;
}

static bool read_scope(struct bytes text, enum bucket_scope *scope, struct status *reason) {
    unsigned value;
    bool is_good = read_word(text, &scopes, &value, reason);
    *scope = (enum bucket_scope)value;
    return is_good;
}

static bool read_name(struct bytes text, struct quota_rules *rules, struct status *reason) {
    enum bucket_scope scope = rules->scopes[rules->n_limits];
    if (text.data == NULL && scope > BUCKET_PER_RESOURCE) {
        return status_fail(reason, "give it a name: limits of scope %s are shared by name",
                           quota_form_scope_word(scope));
    }
    if (text.data == NULL) {
        const char *algorithm = quota_form_algorithm_word(rules->limits[rules->n_limits].algorithm);
        text = (struct bytes){.data = (const uint8_t *)algorithm, .len = strlen(algorithm)};
    }
    return quota_name_limit(rules, rules->n_limits, text, reason);
}

static bool read_count(struct bytes text, const struct bucket_limit *limit, int64_t *count, int64_t *period_s,
                       struct status *reason) {
    return bucket_is_window(limit) ? units_read_window(text, count, period_s, reason)
                                   : units_read_rate(text, count, period_s, reason);
}

bool quota_form_read_rate(struct bytes text, struct bucket_limit *limit, struct status *reason) {
    int64_t count, period_s;
    if (!read_count(text, limit, &count, &period_s, reason)) {
        return false;
    }
    if (count == 0) {
        limit->count = 0;
        limit->period_s = 1;
        return true;
    }
    return bucket_is_window(limit)
               ? bucket_set_window(limit, limit->algorithm, count, (enum calendar_period)period_s, reason)
               : bucket_set_rate(limit, count, period_s, reason);
}

/* Without a burst: one second's worth of the rate, at least 1. Of a window it is the number in its rate. */
static bool read_burst(struct bytes text, struct bucket_limit *limit, struct status *reason) {
    if (bucket_is_window(limit)) {
        if (text.data != NULL) {
            return status_fail(reason, "means nothing beside %s: the number in the rate is the limit",
                               quota_form_algorithm_word(limit->algorithm));
        }
        limit->burst_utok = (limit->count > 0 ? limit->count : 1) * BUCKET_UTOK_PER_TOKEN;
        return true;
    }
    int64_t tokens = limit->count / limit->period_s;
    if (text.data != NULL && !units_read_integer(text, 1, BUCKET_MAX_TOKENS, &tokens, reason)) {
        return false;
    }
    limit->burst_utok = (tokens > 0 ? tokens : 1) * BUCKET_UTOK_PER_TOKEN;
    return true;
}

static bool read_limit_field(struct quota_rules *rules, enum quota_limit_field field, struct bytes text,
                             struct status *reason) {
    struct bucket_limit *limit = &rules->limits[rules->n_limits];
    switch (field) {
    case QUOTA_LIMIT_NAME:
        return read_name(text, rules, reason);
    case QUOTA_LIMIT_ALGORITHM:
        return read_algorithm(text, limit, reason);
    case QUOTA_LIMIT_RATE:
        return quota_form_read_rate(text, limit, reason);
    case QUOTA_LIMIT_BURST:
        return read_burst(text, limit, reason);
    case QUOTA_LIMIT_SCOPE:
        return read_scope(text, &rules->scopes[rules->n_limits], reason);
    case QUOTA_N_LIMIT_FIELDS:
        break;
    }
    return false;
}

bool quota_form_add_limit(struct quota_rules *rules, const struct bytes texts[QUOTA_N_LIMIT_FIELDS],
                          enum quota_limit_field *field, struct status *reason) {
    /* A name defaults to the algorithm in a narrow scope, a burst to the rate. */
    static const enum quota_limit_field order[] = {QUOTA_LIMIT_ALGORITHM, QUOTA_LIMIT_SCOPE, QUOTA_LIMIT_NAME,
                                                   QUOTA_LIMIT_RATE, QUOTA_LIMIT_BURST};
    *field = QUOTA_N_LIMIT_FIELDS;
    if (rules->n_limits == BUCKET_MAX_LIMITS) {
        return status_fail(reason, "is one too many; a quota has at most %d limits", (int)BUCKET_MAX_LIMITS);
    }
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        *field = order[i];
        if (!read_limit_field(rules, order[i], texts[order[i]], reason)) {
            return false;
        }
    }
    rules->n_limits++;
    return true;
}

/* ---- the quota ---- */

/* An unlimited quota has no other field. */
static bool check_alone(const struct bytes texts[QUOTA_N_FIELDS], enum quota_field *field,
                        struct status *reason) {
    for (size_t i = 0; i < QUOTA_FIELD_UNLIMITED; i++) {
        if (texts[i].data != NULL) {
            *field = (enum quota_field)i;
            return status_fail(reason, "means nothing beside 'unlimited: true'; leave one of the two out");
        }
    }
    return true;
}

bool quota_form_begin(struct quota_rules *rules, const struct bytes texts[QUOTA_N_FIELDS],
                      enum quota_field *field, struct status *reason) {
    unsigned is_unlimited = 0, on_store_failure = 0, mode = 0;
    *rules = (struct quota_rules){0};
    *field = QUOTA_FIELD_UNLIMITED;
    if (!read_word(texts[*field], &truths, &is_unlimited, reason)) {
        return false;
    }
    *field = QUOTA_FIELD_ON_STORE_FAILURE;
    if (!read_word(texts[*field], &failures, &on_store_failure, reason)) {
        return false;
    }
    *field = QUOTA_FIELD_MODE;
    if (!read_word(texts[*field], &modes, &mode, reason)) {
        return false;
    }
    *field = QUOTA_N_FIELDS;
    if (is_unlimited) {
        rules->is_unlimited = true;
        return check_alone(texts, field, reason);
    }
    rules->on_store_failure = (enum quota_on_store_failure)on_store_failure;
    rules->mode = (enum quota_mode)mode;
    return texts[QUOTA_FIELD_LIMITS].data != NULL || status_fail(reason, "'limits' is missing");
}

const char *quota_form_algorithm_word(enum bucket_algorithm algorithm) {
    return algorithms.words[algorithm];
}

struct units_shown quota_form_show_rate(const struct bucket_limit *limit) {
    return bucket_is_window(limit) ? units_show_window(limit->count, limit->period_s)
                                   : units_show_rate(limit->count, limit->period_s);
}

const char *quota_form_failure_word(enum quota_on_store_failure on_store_failure) {
    return failures.words[on_store_failure];
}

const char *quota_form_mode_word(enum quota_mode mode) {
    return modes.words[mode];
}

const char *quota_form_scope_word(enum bucket_scope scope) {
    return scopes.words[scope];
}

bool quota_form_read_scope(struct bytes word, enum bucket_scope *scope) {
    struct status reason;
    return word.data != NULL && read_scope(word, scope, &reason);
}
