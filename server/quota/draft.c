/* draft.c — the next set of quotas while it is made of what Redis holds; see draft.h. */
#include "server/quota/draft.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/log.h"
#include "server/quota/quota_json.h"

enum { BITS = 64 };

bool draft_begin(struct draft *draft, const struct quota_set *set, uint64_t unknown_revision) {
    *draft = (struct draft){.set = quota_set_copy(set), .unknown_revision = unknown_revision};
    return draft->set != NULL;
}

void draft_deinit(struct draft *draft) {
    quota_set_release(&draft->set);
    free(draft->seen);
    *draft = (struct draft){0};
}

/* ---- which were seen ---- */

static bool is_seen(const struct draft *draft, uint32_t index) {
    return index < draft->n_seen_bits && (draft->seen[index / BITS] >> (index % BITS) & 1) != 0;
}

static void see(struct draft *draft, const struct quota *quota) {
    if (quota == NULL) {
        return;
    }
    if (quota->index >= draft->n_seen_bits) {
        uint32_t n_bits = (quota->index / BITS + 1) * BITS * 2;
        uint64_t *seen = reallocarray(draft->seen, n_bits / BITS, sizeof *seen);
        if (seen == NULL) {
            draft->is_short = true;
            return;
        }
        memset(seen + draft->n_seen_bits / BITS, 0, (n_bits - draft->n_seen_bits) / BITS * sizeof *seen);
        draft->seen = seen;
        draft->n_seen_bits = n_bits;
    }
    draft->seen[quota->index / BITS] |= UINT64_C(1) << (quota->index % BITS);
}

void draft_end_scan(struct draft *draft) {
    if (draft->unknown_revision == 0) {
        quota_set_set_unknown(draft->set, QUOTA_UNKNOWN_ALLOW);
    }
    for (uint32_t i = 0; i < quota_set_n_places(draft->set) && !draft->is_short; i++) {
        const struct quota *quota = quota_set_at(draft->set, i);
        if (quota != NULL && !is_seen(draft, i)) {
            draft->is_short = !quota_set_remove(draft->set, quota_tenant(quota), quota_resource(quota), NULL);
        }
    }
}

/* ---- what is put ---- */

static bool is_out_of_memory(const struct status *status) {
    return strcmp(status->text, "out of memory") == 0;
}

static bool put_unknown(struct draft *draft, uint64_t revision, struct bytes text) {
    bool is_deny = ledger_is(text, "deny");
    if (!is_deny && !ledger_is(text, "allow")) {
        return false;
    }
    if (revision > draft->unknown_revision) {
        quota_set_set_unknown(draft->set, is_deny ? QUOTA_UNKNOWN_DENY : QUOTA_UNKNOWN_ALLOW);
        draft->unknown_revision = revision;
    }
    return true;
}

static bool put_quota(struct draft *draft, struct bytes tenant, struct bytes resource, uint64_t revision,
                      struct bytes text, bool may_go_back) {
    struct quota_rules rules;
    struct status status;
    const struct quota *quota = quota_set_get(draft->set, tenant, resource);
    if (quota != NULL && quota->revision > revision && !may_go_back) {
        return true;
    }
    if (quota_json_read(text, &rules, &status) &&
        quota_set_put(draft->set, tenant, resource, &rules, revision, &status)) {
        return true;
    }
    draft->is_short = draft->is_short || is_out_of_memory(&status);
    log_write(LOG_WARN, "quota", "the quota of %.*s for %.*s, revision %" PRIu64 ", cannot be read: %s",
              (int)resource.len, (const char *)resource.data, (int)tenant.len, (const char *)tenant.data,
              revision, status.text);
    return false;
}

static bool take_special(struct draft *draft, struct bytes name, uint64_t revision, struct bytes text) {
    if (ledger_is(name, LEDGER_SEEDING)) {
        draft->is_seeding = true;
        return true;
    }
    draft->n_read++;
    return ledger_is(name, LEDGER_DEFAULT) && put_unknown(draft, revision, text);
}

static bool read_field(struct draft *draft, struct bytes field, struct bytes value) {
    struct bytes tenant, resource, text;
    uint64_t revision = 0;
    if (!ledger_read_field(field, &tenant, &resource)) {
        draft->n_read++;
        return false;
    }
    bool is_read = ledger_read_value(value, &revision, &text);
    if (revision > draft->highest_revision) {
        draft->highest_revision = revision;
    }
    if (tenant.len == 0) {
        return take_special(draft, resource, revision, is_read ? text : (struct bytes){NULL, 0});
    }
    draft->n_read++;
    const struct quota *seen = quota_set_get(draft->set, tenant, resource);
    bool was_read_before = seen != NULL && is_seen(draft, seen->index); /* a scan may show a field twice */
    is_read = is_read && put_quota(draft, tenant, resource, revision, text, !was_read_before);
    see(draft, quota_set_get(draft->set, tenant, resource));
    return is_read;
}

bool draft_take_field(struct draft *draft, struct bytes field, struct bytes value) {
    bool is_read = read_field(draft, field, value);
    draft->n_unreadable += !is_read;
    return is_read;
}

static bool take_delete(struct draft *draft, const struct ledger_entry *change) {
    const struct quota *quota = quota_set_get(draft->set, change->tenant, change->resource);
    if (quota != NULL && quota->revision < change->revision) {
        draft->is_short =
            !quota_set_remove(draft->set, change->tenant, change->resource, NULL) || draft->is_short;
    }
    return true;
}

bool draft_take_change(struct draft *draft, const struct ledger_entry *change) {
    bool is_read = false;
    if (ledger_is(change->what, "put")) {
        is_read = put_quota(draft, change->tenant, change->resource, change->revision, change->new, false);
    } else if (ledger_is(change->what, "delete")) {
        is_read = take_delete(draft, change);
    } else if (ledger_is(change->what, "default")) {
        is_read = put_unknown(draft, change->revision, change->new);
    }
    draft->n_unreadable += !is_read;
    return is_read;
}
