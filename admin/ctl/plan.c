/* plan.c — walks two sorted bags side by side. */
#include "admin/ctl/plan.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "admin/ctl/columns.h"
#include "admin/ctl/quota_line.h"
#include "server/base/ensure.h"

enum { NUMBER_BYTES = 32, NAME_BYTES = 512 };

static void take(struct plan *plan, const struct quota_item *have, const struct quota_item *want) {
    plan->changes[plan->n++] = (struct plan_change){have, want};
    plan->n_added += have == NULL;
    plan->n_removed += want == NULL;
    plan->n_changed += have != NULL && want != NULL;
}

bool plan_make(struct plan *plan, const struct quota_bag *have, const struct quota_bag *want,
               bool is_replacing) {
    *plan = (struct plan){.changes = reallocarray(NULL, have->n + want->n + 1, sizeof *plan->changes)};
    if (plan->changes == NULL) {
        return false;
    }
    for (size_t h = 0, w = 0; h < have->n || w < want->n;) {
        int order = h == have->n ? 1 : w == want->n ? -1 : quota_item_compare(&have->items[h], &want->items[w]);
        const struct quota_item *old = order <= 0 ? &have->items[h++] : NULL;
        const struct quota_item *new = order >= 0 ? &want->items[w++] : NULL;
        bool is_same = old != NULL && new != NULL &&strcmp(old->text, new->text) == 0;
        if (is_same || (new == NULL && !is_replacing)) {
            plan->n_kept++;
        } else {
            take(plan, old, new);
        }
    }
    plan->is_deny = want->is_deny;
    plan->changes_default = (want->has_default || is_replacing) && want->is_deny != have->is_deny;
    return true;
}

void plan_deinit(struct plan *plan) {
    free(plan->changes);
    *plan = (struct plan){.changes = NULL};
}

bool plan_is_empty(const struct plan *plan) {
    return plan->n == 0 && !plan->changes_default;
}

/* The one that names the quota; a change has at least one. */
static const struct quota_item *any_item(const struct plan_change *change) {
    const struct quota_item *any = change->want != NULL ? change->want : change->have;
    ensure_not_null(any);
    return any;
}

/* ---- for people ---- */

static void print_change(const struct plan_change *change, bool has_colors, FILE *out) {
    const struct quota_item *any = any_item(change);
    char tenant[NAME_BYTES], resource[NAME_BYTES];
    bool is_added = change->have == NULL, is_removed = change->want == NULL;
    const char *color = is_added ? "\x1b[32m" : is_removed ? "\x1b[31m" : "\x1b[33m";
    fprintf(out, "%s%c %s %s: ", has_colors ? color : "",
            is_added     ? '+'
            : is_removed ? '-'
                         : '~',
            columns_tame(any->tenant, tenant, sizeof tenant),
            columns_tame(any->resource, resource, sizeof resource));
    if (!is_added) {
        fputs(quota_line_show_text(change->have->text).text, out);
    }
    fputs(is_added || is_removed ? "" : " -> ", out);
    if (!is_removed) {
        fputs(quota_line_show_text(change->want->text).text, out);
    }
    fprintf(out, "%s\n", has_colors ? "\x1b[0m" : "");
}

void plan_print(const struct plan *plan, bool has_colors, FILE *out) {
    for (size_t i = 0; i < plan->n; i++) {
        print_change(&plan->changes[i], has_colors, out);
    }
    if (plan->changes_default) {
        fprintf(out, "~ default: %s\n", plan->is_deny ? "allow -> deny" : "deny -> allow");
    }
    fprintf(out, "%zu to add, %zu to change, %zu to remove, %zu to keep\n", plan->n_added, plan->n_changed,
            plan->n_removed, plan->n_kept);
}

/* ---- for the server ---- */

static bool append(struct buf *body, const char *text) {
    return buf_append(body, text, strlen(text));
}

static bool append_member(struct buf *body, const char *head, const char *text) {
    json_t *json = json_string(text);
    char *quoted = json == NULL ? NULL : json_dumps(json, JSON_ENCODE_ANY);
    bool is_good = quoted != NULL && append(body, head) && append(body, quoted);
    free(quoted);
    json_decref(json);
    return is_good;
}

static bool append_change(struct buf *body, const struct plan_change *change) {
    const struct quota_item *any = any_item(change);
    char revision[NUMBER_BYTES];
    snprintf(revision, sizeof revision, ",\"if_revision\":%" PRId64 "}",
             change->have != NULL ? change->have->revision : 0);
    return append_member(body, "{\"tenant\":", any->tenant) &&
           append_member(body, ",\"resource\":", any->resource) && append(body, ",\"quota\":") &&
           append(body, change->want != NULL ? change->want->text : "null") && append(body, revision);
}

bool plan_write_chunk(const struct plan *plan, size_t from, size_t *n, struct buf *body) {
    bool is_good = append(body, "{\"changes\":[");
    bool has_default = from == 0 && plan->changes_default;
    size_t n_max = PLAN_CHUNK_MAX_CHANGES - has_default;
    *n = 0;
    while (is_good && from + *n < plan->n && *n < n_max) {
        struct buf change = {0};
        is_good = append_change(&change, &plan->changes[from + *n]);
        bool fits = *n == 0 || buf_len(body) + buf_len(&change) < PLAN_CHUNK_MAX_BYTES;
        is_good = is_good && (!fits || ((*n == 0 || append(body, ",")) &&
                                        buf_append(body, buf_front(&change), buf_len(&change))));
        buf_deinit(&change);
        if (!fits) {
            break;
        }
        ++*n;
    }
    if (is_good && has_default) {
        is_good = append(body, plan->is_deny ? "],\"default\":\"deny\"" : "],\"default\":\"allow\"");
    } else {
        is_good = is_good && append(body, "]");
    }
    return is_good && append(body, "}") && buf_append(body, "", 1);
}
