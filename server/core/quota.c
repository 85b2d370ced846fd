/* quota.c — the set of quotas in force; see quota.h.
 *
 * Two open-addressed tables: tenants by name, and patterns by (tenant, exact or prefix, text). A tenant knows
 * which lengths its prefixes have. So a lookup probes once for the tenant, once for the exact resource, and then
 * once for each of those lengths that fits, the longest first: no walk depends on how many quotas there are. */
#include "server/core/quota.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/buf.h"
#include "server/base/hash.h"
#include "server/base/units.h"

enum {
    QUOTA_SET_MAX_QUOTAS = 1000000,
    QUOTA_INDEX_MIN_SLOTS = 16,
    QUOTA_LENGTH_BITS = 64,
    QUOTA_LENGTH_WORDS = QUOTA_RESOURCE_MAX_BYTES / QUOTA_LENGTH_BITS, /* a prefix has at most 127 bytes */
};

static const struct bytes quota_any_tenant = {.data = (const uint8_t *)"*", .len = 1};

struct quota_tenant {
    uint8_t name_len;
    uint8_t name[QUOTA_TENANT_MAX_BYTES];
    uint64_t prefix_lengths[QUOTA_LENGTH_WORDS]; /* bit n: it has a prefix of n bytes */
};

/* What leads to the quota of the same index. */
struct quota_pattern {
    uint32_t tenant;
    bool is_prefix;
    uint8_t len;
    uint8_t text[QUOTA_RESOURCE_MAX_BYTES]; /* of a prefix: without its '*' */
};

struct quota_slot {
    uint32_t hash;
    uint32_t item; /* the item's index + 1; 0: free */
};

/* Items by hash. */
struct quota_index {
    struct quota_slot *slots;
    uint32_t n_slots; /* a power of two, or 0 */
    uint32_t n_items;
};

struct quota_set {
    _Atomic uint32_t n_holds;
    uint64_t seed;
    enum quota_unknown unknown;
    uint32_t max_limits;
    struct buf tenants, patterns, quotas; /* of the structs above, and of struct quota */
    struct quota_index tenant_index, pattern_index;
};

static bool quota_bytes_equal(struct bytes a, const uint8_t *b, size_t b_len) {
    return a.len == b_len && (b_len == 0 || memcmp(a.data, b, b_len) == 0);
}

/* ---- index ---- */

/* The next item of this hash, as its index + 1; 0: no more. `at` begins as the hash. */
static uint32_t quota_index_next(const struct quota_index *index, uint32_t hash, uint32_t *at) {
    while (index->n_slots > 0) {
        const struct quota_slot *slot = &index->slots[(*at)++ & (index->n_slots - 1)];
        if (slot->item == 0) {
            return 0;
        }
        if (slot->hash == hash) {
            return slot->item;
        }
    }
    return 0;
}

static void quota_index_put(struct quota_index *index, struct quota_slot slot) {
    uint32_t at = slot.hash;
    while (index->slots[at & (index->n_slots - 1)].item != 0) {
        at++;
    }
    index->slots[at & (index->n_slots - 1)] = slot;
}

/* Makes sure that one more item leaves at least half of the slots free; false when memory is short. */
static bool quota_index_make_room(struct quota_index *index) {
    if ((index->n_items + 1) * 2 <= index->n_slots) {
        return true;
    }
    struct quota_index bigger = {.n_slots = index->n_slots > 0 ? index->n_slots * 2 : QUOTA_INDEX_MIN_SLOTS,
                                 .n_items = index->n_items};
    bigger.slots = calloc(bigger.n_slots, sizeof *bigger.slots);
    if (bigger.slots == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < index->n_slots; i++) {
        if (index->slots[i].item != 0) {
            quota_index_put(&bigger, index->slots[i]);
        }
    }
    free(index->slots);
    *index = bigger;
    return true;
}

/* Adds the next item; there is room. */
static void quota_index_add(struct quota_index *index, uint32_t hash) {
    quota_index_put(index, (struct quota_slot){.hash = hash, .item = ++index->n_items});
}

/* ---- set ---- */

struct quota_set *quota_set_create(void) {
    struct quota_set *set = calloc(1, sizeof *set);
    if (set != NULL) {
        atomic_init(&set->n_holds, 1);
        set->seed = hash_random_seed();
    }
    return set;
}

struct quota_set *quota_set_hold(struct quota_set *set) {
    atomic_fetch_add_explicit(&set->n_holds, 1, memory_order_relaxed);
    return set;
}

void quota_set_release(struct quota_set **set) {
    struct quota_set *held = *set;
    *set = NULL;
    if (held == NULL || atomic_fetch_sub_explicit(&held->n_holds, 1, memory_order_acq_rel) > 1) {
        return;
    }
    buf_deinit(&held->tenants);
    buf_deinit(&held->patterns);
    buf_deinit(&held->quotas);
    free(held->tenant_index.slots);
    free(held->pattern_index.slots);
    free(held);
}

void quota_set_set_unknown(struct quota_set *set, enum quota_unknown unknown) {
    set->unknown = unknown;
}

enum quota_unknown quota_set_unknown(const struct quota_set *set) {
    return set->unknown;
}

uint32_t quota_set_count(const struct quota_set *set) {
    return set->pattern_index.n_items;
}

uint32_t quota_set_max_limits(const struct quota_set *set) {
    return set->max_limits;
}

static struct quota_tenant *quota_tenants(const struct quota_set *set) {
    return (struct quota_tenant *)(void *)set->tenants.data;
}

static uint32_t quota_tenant_hash(const struct quota_set *set, struct bytes name) {
    return (uint32_t)hash_bytes(name.data, name.len, set->seed);
}

static uint32_t quota_pattern_hash(const struct quota_set *set, uint32_t tenant, bool is_prefix,
                                   struct bytes text) {
    uint64_t what = ((uint64_t)tenant + 1) << 1 | is_prefix;
    return (uint32_t)hash_bytes(text.data, text.len, set->seed ^ what << 31);
}

static struct quota_tenant *quota_find_tenant(const struct quota_set *set, struct bytes name,
                                              uint32_t *tenant) {
    uint32_t hash = quota_tenant_hash(set, name);
    for (uint32_t at = hash, item; (item = quota_index_next(&set->tenant_index, hash, &at)) != 0;) {
        struct quota_tenant *found = quota_tenants(set) + item - 1;
        if (quota_bytes_equal(name, found->name, found->name_len)) {
            *tenant = item - 1;
            return found;
        }
    }
    return NULL;
}

static const struct quota *quota_find_pattern(const struct quota_set *set, uint32_t tenant, bool is_prefix,
                                              struct bytes text) {
    uint32_t hash = quota_pattern_hash(set, tenant, is_prefix, text);
    for (uint32_t at = hash, item; (item = quota_index_next(&set->pattern_index, hash, &at)) != 0;) {
        const struct quota_pattern *found = (const struct quota_pattern *)(void *)set->patterns.data + item - 1;
        if (found->tenant == tenant && found->is_prefix == is_prefix &&
            quota_bytes_equal(text, found->text, found->len)) {
            return (const struct quota *)(void *)set->quotas.data + item - 1;
        }
    }
    return NULL;
}

/* Those bits of a word that stand for lengths of at most `len`. */
static uint64_t quota_lengths_up_to(uint64_t lengths, size_t first, size_t len) {
    if (len < first) {
        return 0;
    }
    return len - first >= QUOTA_LENGTH_BITS - 1 ? lengths : lengths & ((UINT64_C(2) << (len - first)) - 1);
}

static const struct quota *quota_find_of_tenant(const struct quota_set *set, struct bytes name,
                                                struct bytes resource) {
    uint32_t index;
    const struct quota_tenant *tenant = quota_find_tenant(set, name, &index);
    if (tenant == NULL) {
        return NULL;
    }
    const struct quota *quota = quota_find_pattern(set, index, false, resource);
    for (size_t word = QUOTA_LENGTH_WORDS; word-- > 0 && quota == NULL;) {
        size_t first = word * QUOTA_LENGTH_BITS;
        uint64_t lengths = quota_lengths_up_to(tenant->prefix_lengths[word], first, resource.len);
        while (lengths != 0 && quota == NULL) {
            size_t bit = QUOTA_LENGTH_BITS - 1 - (size_t)__builtin_clzll(lengths);
            lengths &= ~(UINT64_C(1) << bit);
            quota = quota_find_pattern(set, index, true, (struct bytes){resource.data, first + bit});
        }
    }
    return quota;
}

const struct quota *quota_set_find(const struct quota_set *set, struct bytes tenant, struct bytes resource) {
    const struct quota *quota = quota_find_of_tenant(set, tenant, resource);
    return quota != NULL ? quota : quota_find_of_tenant(set, quota_any_tenant, resource);
}

/* ---- building ---- */

static bool quota_is_limit_name_byte(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-';
}

bool quota_name_limit(struct quota *quota, uint32_t index, struct bytes name, struct status *status) {
    if (name.len == 0 || name.len > QUOTA_LIMIT_NAME_MAX_BYTES) {
        return status_fail(status, "a limit's name has 1 to %d bytes, not %zu", (int)QUOTA_LIMIT_NAME_MAX_BYTES,
                           name.len);
    }
    for (size_t i = 0; i < name.len; i++) {
        if (!quota_is_limit_name_byte(name.data[i])) {
            return status_fail(status, "'%s': a limit's name has only letters, digits and _ . -",
                               units_show_text(name).text);
        }
    }
    uint32_t id = hash_stable32(name.data, name.len);
    for (uint32_t i = 0; i < index; i++) {
        if (quota->limits[i].id == id) {
            bool is_same =
                quota_bytes_equal(name, (const uint8_t *)quota->limit_names[i], strlen(quota->limit_names[i]));
            return status_fail(status, "the name '%s' %s of limits[%u]; give each limit a name of its own",
                               units_show_text(name).text, is_same ? "is also that" : "is too much like that",
                               i);
        }
    }
    quota->limits[index].id = id;
    memmove(quota->limit_names[index], name.data, name.len);
    quota->limit_names[index][name.len] = '\0';
    return true;
}

/* A name that may end in a '*' when `is_pattern`; "*" alone is always allowed. */
static bool quota_check_name(const char *what, struct bytes name, size_t max_bytes, bool is_pattern,
                             struct status *status) {
    if (name.len == 0 || name.len > max_bytes) {
        return status_fail(status, "a %s's name has 1 to %zu bytes, not %zu", what, max_bytes, name.len);
    }
    for (size_t i = 0; i < name.len; i++) {
        if (name.data[i] < 0x20 || name.data[i] == 0x7f) {
            return status_fail(status, "the %s '%s' has a control character", what, units_show_text(name).text);
        }
        bool is_place = i == name.len - 1 && (is_pattern || i == 0);
        if (name.data[i] == '*' && !is_place) {
            return status_fail(status, "the %s '%s' has a '*' that does not %s", what,
                               units_show_text(name).text, is_pattern ? "end it" : "stand alone");
        }
    }
    return true;
}

static bool quota_add_tenant(struct quota_set *set, struct bytes name, uint32_t *index) {
    if (quota_find_tenant(set, name, index) != NULL) {
        return true;
    }
    struct quota_tenant tenant = {.name_len = (uint8_t)name.len};
    memcpy(tenant.name, name.data, name.len);
    if (!quota_index_make_room(&set->tenant_index) || !buf_append(&set->tenants, &tenant, sizeof tenant)) {
        return false;
    }
    *index = set->tenant_index.n_items;
    quota_index_add(&set->tenant_index, quota_tenant_hash(set, name));
    return true;
}

/* Puts the pattern and its quota at the same place of both lists, or in neither. */
static bool quota_add_pattern(struct quota_set *set, const struct quota_pattern *pattern,
                              const struct quota *quota) {
    if (!quota_index_make_room(&set->pattern_index) || buf_reserve(&set->patterns, sizeof *pattern) == NULL ||
        !buf_append(&set->quotas, quota, sizeof *quota)) {
        return false;
    }
    memcpy(set->patterns.data + set->patterns.end, pattern, sizeof *pattern);
    buf_commit(&set->patterns, sizeof *pattern);
    struct bytes text = {.data = pattern->text, .len = pattern->len};
    quota_index_add(&set->pattern_index, quota_pattern_hash(set, pattern->tenant, pattern->is_prefix, text));
    if (pattern->is_prefix) {
        uint64_t *lengths = quota_tenants(set)[pattern->tenant].prefix_lengths;
        lengths[pattern->len / QUOTA_LENGTH_BITS] |= UINT64_C(1) << pattern->len % QUOTA_LENGTH_BITS;
    }
    if (quota->n_limits > set->max_limits) {
        set->max_limits = quota->n_limits;
    }
    return true;
}

static bool quota_check_limits(struct quota *quota, struct status *status) {
    if (quota->n_limits == 0 || quota->n_limits > BUCKET_MAX_LIMITS) {
        return status_fail(status, "a quota has 1 to %d limits, not %u", (int)BUCKET_MAX_LIMITS,
                           quota->n_limits);
    }
    for (uint32_t i = 0; i < quota->n_limits; i++) {
        const char *name = quota->limit_names[i];
        struct bytes text = {.data = (const uint8_t *)name, .len = strnlen(name, sizeof quota->limit_names[i])};
        if (!quota_name_limit(quota, i, text, status)) {
            return false;
        }
    }
    return true;
}

bool quota_set_add(struct quota_set *set, struct bytes tenant, struct bytes resource, const struct quota *quota,
                   struct status *status) {
    struct quota copy = *quota;
    if (!quota_check_name("tenant", tenant, QUOTA_TENANT_MAX_BYTES, false, status) ||
        !quota_check_name("resource", resource, QUOTA_RESOURCE_MAX_BYTES, true, status) ||
        !quota_check_limits(&copy, status)) {
        return false;
    }
    if (quota_set_count(set) == QUOTA_SET_MAX_QUOTAS) {
        return status_fail(status, "there are more than %d quotas", (int)QUOTA_SET_MAX_QUOTAS);
    }
    struct quota_pattern pattern = {.is_prefix = resource.data[resource.len - 1] == '*'};
    pattern.len = (uint8_t)(resource.len - pattern.is_prefix);
    memcpy(pattern.text, resource.data, pattern.len);
    if (!quota_add_tenant(set, tenant, &pattern.tenant)) {
        return status_fail(status, "out of memory");
    }
    struct bytes text = {.data = pattern.text, .len = pattern.len};
    if (quota_find_pattern(set, pattern.tenant, pattern.is_prefix, text) != NULL) {
        return status_fail(status, "the resource '%s' is given twice for this tenant",
                           units_show_text(resource).text);
    }
    copy.index = quota_set_count(set);
    return quota_add_pattern(set, &pattern, &copy) || status_fail(status, "out of memory");
}
