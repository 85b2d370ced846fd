/* quota_change.c — finds the limit that is meant and sets its numbers. */
#include "client/cmd/quota_change.h"

#include <stdio.h>
#include <string.h>

#include "server/base/units.h"
#include "server/quota/quota_form.h"

bool quota_change_is_given(const struct quota_change *change) {
    return change->rate != NULL || change->burst_tokens > 0;
}

/* The limit that is meant, as a number; `rules` has at least one. */
static bool find_limit(const struct quota_rules *rules, const char *name, uint32_t *index,
                       struct status *status) {
    char names[BUCKET_MAX_LIMITS * (QUOTA_LIMIT_NAME_MAX_BYTES + 3)] = "";
    size_t n = 0;
    for (uint32_t i = 0; i < rules->n_limits; i++) {
        if (name != NULL && strcmp(rules->limit_names[i], name) == 0) {
            *index = i;
            return true;
        }
        n += (size_t)snprintf(names + n, sizeof names - n, "%s%s", i > 0 ? ", " : "", rules->limit_names[i]);
    }
    *index = 0;
    if (name != NULL) {
        struct units_shown shown = units_show_text((struct bytes){(const uint8_t *)name, strlen(name)});
        return status_fail(status, "--limit: the quota has no limit '%s'; it has %s", shown.text, names);
    }
    return rules->n_limits == 1 ||
           status_fail(status, "the quota has several limits; say by --limit which one changes: %s", names);
}

static bool set_rate(const char *rate, struct bucket_limit *limit, struct status *status) {
    struct status reason = {""};
    if (!quota_form_read_rate((struct bytes){(const uint8_t *)rate, strlen(rate)}, limit, &reason)) {
        return status_fail(status, "--rate: %s", reason.text);
    }
    return limit->count > 0 || status_fail(status, "--rate: 0 is a ban, which denies every request");
}

static bool change_rules(const struct quota_change *change, struct quota_rules *rules, struct status *status) {
    uint32_t index;
    if (!find_limit(rules, change->limit, &index, status)) {
        return false;
    }
    struct bucket_limit *limit = &rules->limits[index];
    if (change->burst_tokens > 0 && bucket_is_window(limit)) {
        return status_fail(status, "--burst: %s has none; change its number with --rate",
                           quota_form_algorithm_word(limit->algorithm));
    }
    if (change->burst_tokens > 0) {
        limit->burst_utok = change->burst_tokens * BUCKET_UTOK_PER_TOKEN;
    }
    return change->rate == NULL || set_rate(change->rate, limit, status);
}

struct quota_set *quota_change_apply(const struct quota_change *change, const struct quota_set *set,
                                     struct bytes tenant, struct bytes resource, struct status *status) {
    const struct quota *quota = quota_set_find(set, tenant, resource);
    struct quota_rules rules;
    if (quota == NULL || quota->is_unlimited || quota->is_banned) {
        const char *reason = quota == NULL         ? "no quota matches"
                             : quota->is_unlimited ? "the quota is unlimited"
                                                   : "the quota is a ban";
        status_fail(status, "%s %s: %s, so there is no rate or burst to change", units_show_text(tenant).text,
                    units_show_text(resource).text, reason);
        return NULL;
    }
    quota_get_rules(quota, &rules);
    if (!change_rules(change, &rules, status)) {
        return NULL;
    }
    struct quota_set *changed = quota_set_copy(set);
    if (changed == NULL) {
        status_fail(status, "out of memory");
    } else if (!quota_set_put(changed, quota_tenant(quota), quota_resource(quota), &rules, quota->revision + 1,
                              status)) {
        quota_set_release(&changed);
    }
    return changed;
}
