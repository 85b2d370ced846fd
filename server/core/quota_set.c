/* quota_set.c — the quotas in force; see quota_set.h.
 *
 * Quotas stand in places, on pages that successive sets share. They are found by the hash of (tenant, exact or
 * prefix, text). Which lengths the prefixes of a tenant have stands in a filter: a lookup probes once for the exact
 * resource and then once for each of those lengths that fits, the longest first, so no walk depends on how many
 * quotas there are. The filter may claim too much, by a collision or for a prefix that was removed: that costs a
 * probe and finds nothing. */
#include "server/core/quota_set.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/buf.h"
#include "server/base/hash.h"

enum {
    PAGE_PLACES = 512,
    INDEX_MIN_SLOTS = 16,
    LENGTH_BITS = 64,
    LENGTH_WORDS = QUOTA_RESOURCE_MAX_BYTES / LENGTH_BITS, /* a prefix has at most 127 bytes */
};

struct page {
    _Atomic uint32_t n_holds;
    struct quota *quotas[PAGE_PLACES]; /* held; NULL: free */
};

struct slot {
    uint32_t hash;
    uint32_t item; /* the item's number + 1; 0: free */
};

/* Numbers by hash. */
struct index {
    struct slot *slots;
    uint32_t n_slots; /* a power of two, or 0 */
    uint32_t n_items;
};

/* What the filter knows of one tenant. */
struct prefixes {
    uint64_t tenant_hash;
    uint64_t lengths[LENGTH_WORDS]; /* bit n: it may have a prefix of n bytes */
};

struct filter {
    struct index index;
    struct buf tenants; /* of struct prefixes */
};

struct quota_set {
    _Atomic uint32_t n_holds;
    enum quota_unknown unknown;
    uint64_t seed;
    uint64_t revision;
    uint64_t any_tenant_hash;
    uint32_t max_limits;
    uint32_t n_places; /* all that ever were */
    uint32_t n_pages;
    struct page **pages;
    struct buf free_places; /* of uint32_t */
    struct index index;     /* of places */
    struct filter filter;
};

static const struct bytes any_tenant = {.data = (const uint8_t *)"*", .len = 1};

/* A pattern taken apart: `text` is a prefix's without its '*'. */
struct pattern {
    struct bytes tenant, text;
    uint64_t tenant_hash;
    bool is_prefix;
};

/* ---- index ---- */

/* The next item of this hash, as its number + 1; 0: no more. `at` begins as the hash. */
static uint32_t index_next(const struct index *index, uint32_t hash, uint32_t *at) {
    while (index->n_slots > 0) {
        const struct slot *slot = &index->slots[(*at)++ & (index->n_slots - 1)];
        if (slot->item == 0) {
            return 0;
        }
        if (slot->hash == hash) {
            return slot->item;
        }
    }
    return 0;
}

static void index_put(struct index *index, struct slot slot) {
    uint32_t at = slot.hash;
    while (index->slots[at & (index->n_slots - 1)].item != 0) {
        at++;
    }
    index->slots[at & (index->n_slots - 1)] = slot;
}

/* One more item leaves at least half of the slots free. */
static bool index_has_room(const struct index *index) {
    return (index->n_items + 1) * 2 <= index->n_slots;
}

static bool index_make_room(struct index *index) {
    if (index_has_room(index)) {
        return true;
    }
    struct index bigger = {.n_slots = index->n_slots > 0 ? index->n_slots * 2 : INDEX_MIN_SLOTS,
                           .n_items = index->n_items};
    bigger.slots = calloc(bigger.n_slots, sizeof *bigger.slots);
    if (bigger.slots == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < index->n_slots; i++) {
        if (index->slots[i].item != 0) {
            index_put(&bigger, index->slots[i]);
        }
    }
    free(index->slots);
    *index = bigger;
    return true;
}

/* There is room. */
static void index_add(struct index *index, uint32_t hash, uint32_t number) {
    index_put(index, (struct slot){.hash = hash, .item = number + 1});
    index->n_items++;
}

/* The item is there. What stands behind it moves up, so that no search ends at the hole. */
static void index_remove(struct index *index, uint32_t hash, uint32_t number) {
    uint32_t mask = index->n_slots - 1;
    uint32_t hole = hash & mask;
    while (index->slots[hole].item != number + 1) {
        hole = (hole + 1) & mask;
    }
    for (uint32_t at = (hole + 1) & mask; index->slots[at].item != 0; at = (at + 1) & mask) {
        uint32_t from_home = (at - index->slots[at].hash) & mask;
        if (from_home >= ((at - hole) & mask)) {
            index->slots[hole] = index->slots[at];
            hole = at;
        }
    }
    index->slots[hole] = (struct slot){0};
    index->n_items--;
}

static bool index_copy(struct index *to, const struct index *from) {
    *to = (struct index){0};
    if (from->n_slots == 0) {
        return true;
    }
    to->slots = malloc(from->n_slots * sizeof *to->slots);
    if (to->slots == NULL) {
        return false;
    }
    memcpy(to->slots, from->slots, from->n_slots * sizeof *to->slots);
    to->n_slots = from->n_slots;
    to->n_items = from->n_items;
    return true;
}

static bool copy_buf(struct buf *to, const struct buf *from) {
    *to = (struct buf){0};
    return buf_len(from) == 0 || buf_append(to, buf_front(from), buf_len(from));
}

/* ---- filter ---- */

static struct prefixes *filter_find(const struct filter *filter, uint64_t tenant_hash) {
    struct prefixes *tenants = (struct prefixes *)(void *)filter->tenants.data; /* NULL while it is empty */
    uint32_t at = (uint32_t)tenant_hash, item;
    while (tenants != NULL && (item = index_next(&filter->index, (uint32_t)tenant_hash, &at)) != 0) {
        if (tenants[item - 1].tenant_hash == tenant_hash) {
            return &tenants[item - 1];
        }
    }
    return NULL;
}

static bool filter_add(struct filter *filter, const struct pattern *pattern) {
    size_t word = pattern->text.len / LENGTH_BITS;
    uint64_t length = UINT64_C(1) << pattern->text.len % LENGTH_BITS;
    struct prefixes *found = filter_find(filter, pattern->tenant_hash);
    if (found != NULL) {
        found->lengths[word] |= length;
        return true;
    }
    struct prefixes first = {.tenant_hash = pattern->tenant_hash};
    first.lengths[word] = length;
    if (!index_make_room(&filter->index) || !buf_append(&filter->tenants, &first, sizeof first)) {
        return false;
    }
    index_add(&filter->index, (uint32_t)pattern->tenant_hash, filter->index.n_items);
    return true;
}

static void filter_deinit(struct filter *filter) {
    free(filter->index.slots);
    buf_deinit(&filter->tenants);
    *filter = (struct filter){0};
}

/* ---- pages ---- */

static void page_release(struct page *page) {
    if (atomic_fetch_sub_explicit(&page->n_holds, 1, memory_order_acq_rel) > 1) {
        return;
    }
    for (size_t i = 0; i < PAGE_PLACES; i++) {
        quota_release(&page->quotas[i]);
    }
    free(page);
}

static struct page *page_create(const struct page *like) {
    struct page *page = calloc(1, sizeof *page);
    if (page == NULL) {
        return NULL;
    }
    atomic_init(&page->n_holds, 1);
    for (size_t i = 0; like != NULL && i < PAGE_PLACES; i++) {
        page->quotas[i] = like->quotas[i] != NULL ? quota_hold(like->quotas[i]) : NULL;
    }
    return page;
}

/* Makes the page of a place, which may be the first behind the last page, this set's own. */
static bool own_page(struct quota_set *set, uint32_t place) {
    uint32_t n = place / PAGE_PLACES;
    if (n == set->n_pages) {
        struct page **pages = realloc(set->pages, (n + 1) * sizeof(struct page *));
        if (pages == NULL) {
            return false;
        }
        set->pages = pages;
        set->pages[n] = page_create(NULL);
        set->n_pages += set->pages[n] != NULL;
        return set->pages[n] != NULL;
    }
    if (atomic_load_explicit(&set->pages[n]->n_holds, memory_order_acquire) == 1) {
        return true;
    }
    struct page *own = page_create(set->pages[n]);
    if (own == NULL) {
        return false;
    }
    page_release(set->pages[n]);
    set->pages[n] = own;
    return true;
}

static struct quota **quota_at(const struct quota_set *set, uint32_t place) {
    return &set->pages[place / PAGE_PLACES]->quotas[place % PAGE_PLACES];
}

/* ---- finding ---- */

static uint64_t hash_tenant(const struct quota_set *set, struct bytes tenant) {
    return hash_bytes(tenant.data, tenant.len, set->seed);
}

static uint32_t hash_pattern(const struct quota_set *set, const struct pattern *pattern) {
    uint64_t seed = set->seed ^ (pattern->tenant_hash << 1 | pattern->is_prefix);
    return (uint32_t)hash_bytes(pattern->text.data, pattern->text.len, seed);
}

static bool bytes_are_equal(struct bytes a, struct bytes b) {
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static bool quota_is_of(const struct quota *quota, const struct pattern *pattern) {
    struct bytes resource = quota_resource(quota);
    bool is_prefix = resource.data[resource.len - 1] == '*';
    resource.len -= is_prefix;
    return is_prefix == pattern->is_prefix && bytes_are_equal(resource, pattern->text) &&
           bytes_are_equal(quota_tenant(quota), pattern->tenant);
}

static const struct quota *find_pattern(const struct quota_set *set, const struct pattern *pattern) {
    uint32_t hash = hash_pattern(set, pattern);
    for (uint32_t at = hash, item; (item = index_next(&set->index, hash, &at)) != 0;) {
        const struct quota *quota = *quota_at(set, item - 1);
        if (quota_is_of(quota, pattern)) {
            return quota;
        }
    }
    return NULL;
}

/* Those bits of a word that stand for lengths of at most `len`. */
static uint64_t lengths_up_to(uint64_t lengths, size_t first, size_t len) {
    if (len < first) {
        return 0;
    }
    return len - first >= LENGTH_BITS - 1 ? lengths : lengths & ((UINT64_C(2) << (len - first)) - 1);
}

static const struct quota *find_prefix(const struct quota_set *set, struct pattern *pattern,
                                       struct bytes resource) {
    const struct prefixes *prefixes = filter_find(&set->filter, pattern->tenant_hash);
    const struct quota *quota = NULL;
    pattern->is_prefix = true;
    for (size_t word = LENGTH_WORDS; prefixes != NULL && word-- > 0 && quota == NULL;) {
        size_t first = word * LENGTH_BITS;
        uint64_t lengths = lengths_up_to(prefixes->lengths[word], first, resource.len);
        while (lengths != 0 && quota == NULL) {
            size_t bit = LENGTH_BITS - 1 - (size_t)__builtin_clzll(lengths);
            lengths &= ~(UINT64_C(1) << bit);
            pattern->text = (struct bytes){resource.data, first + bit};
            quota = find_pattern(set, pattern);
        }
    }
    return quota;
}

static const struct quota *find_of_tenant(const struct quota_set *set, struct bytes tenant,
                                          uint64_t tenant_hash, struct bytes resource) {
    struct pattern pattern = {.tenant = tenant, .tenant_hash = tenant_hash, .text = resource};
    const struct quota *quota = find_pattern(set, &pattern);
    return quota != NULL ? quota : find_prefix(set, &pattern, resource);
}

const struct quota *quota_set_find(const struct quota_set *set, struct bytes tenant, struct bytes resource) {
    const struct quota *quota = find_of_tenant(set, tenant, hash_tenant(set, tenant), resource);
    return quota != NULL ? quota : find_of_tenant(set, any_tenant, set->any_tenant_hash, resource);
}

static struct pattern make_pattern(const struct quota_set *set, struct bytes tenant, struct bytes resource) {
    struct pattern pattern = {.tenant = tenant, .tenant_hash = hash_tenant(set, tenant), .text = resource};
    if (resource.len > 0 && resource.data[resource.len - 1] == '*') {
        pattern.is_prefix = true;
        pattern.text.len--;
    }
    return pattern;
}

const struct quota *quota_set_get(const struct quota_set *set, struct bytes tenant, struct bytes resource) {
    struct pattern pattern = make_pattern(set, tenant, resource);
    return find_pattern(set, &pattern);
}

const struct quota *quota_set_at(const struct quota_set *set, uint32_t index) {
    return index < set->n_places ? *quota_at(set, index) : NULL;
}

uint32_t quota_set_n_places(const struct quota_set *set) {
    return set->n_places;
}

enum quota_unknown quota_set_unknown(const struct quota_set *set) {
    return set->unknown;
}

uint64_t quota_set_revision(const struct quota_set *set) {
    return set->revision;
}

uint32_t quota_set_count(const struct quota_set *set) {
    return set->index.n_items;
}

uint32_t quota_set_max_limits(const struct quota_set *set) {
    return set->max_limits;
}

/* ---- editing ---- */

/* Once the filter is full it is made anew, without what was removed meanwhile. */
static bool add_prefix(struct quota_set *set, const struct pattern *pattern) {
    bool is_new = filter_find(&set->filter, pattern->tenant_hash) == NULL;
    if (!is_new || index_has_room(&set->filter.index)) {
        return filter_add(&set->filter, pattern);
    }
    struct filter fresh = {0};
    for (uint32_t place = 0; place < set->n_places; place++) {
        const struct quota *quota = *quota_at(set, place);
        if (quota == NULL) {
            continue;
        }
        struct pattern other = make_pattern(set, quota_tenant(quota), quota_resource(quota));
        if (other.is_prefix && !filter_add(&fresh, &other)) {
            filter_deinit(&fresh);
            return false;
        }
    }
    if (!filter_add(&fresh, pattern)) {
        filter_deinit(&fresh);
        return false;
    }
    filter_deinit(&set->filter);
    set->filter = fresh;
    return true;
}

static uint32_t next_place(const struct quota_set *set) {
    uint32_t place = set->n_places;
    if (buf_len(&set->free_places) > 0) {
        memcpy(&place, set->free_places.data + set->free_places.end - sizeof place, sizeof place);
    }
    return place;
}

/* Everything that can fail, before anything is changed that is seen. */
static bool make_room(struct quota_set *set, uint32_t place, bool is_new, const struct pattern *pattern) {
    return own_page(set, place) &&
           (!is_new || (index_make_room(&set->index) && (!pattern->is_prefix || add_prefix(set, pattern))));
}

static void take_place(struct quota_set *set, uint32_t place, const struct pattern *pattern) {
    if (place == set->n_places) {
        set->n_places++;
    } else {
        set->free_places.end -= sizeof place;
    }
    index_add(&set->index, hash_pattern(set, pattern), place);
}

static bool is_in_force(const struct quota *quota, const struct quota_rules *rules, uint64_t revision) {
    struct quota_rules now;
    quota_get_rules(quota, &now);
    return quota->revision == revision && quota_rules_are_equal(&now, rules);
}

bool quota_set_put(struct quota_set *set, struct bytes tenant, struct bytes resource,
                   const struct quota_rules *rules, uint64_t revision, struct status *status) {
    struct quota_rules checked = *rules;
    if (!quota_check_pattern(tenant, resource, status) || !quota_rules_check(&checked, status) ||
        !quota_check_scopes(&checked, tenant, status)) {
        return false;
    }
    struct pattern pattern = make_pattern(set, tenant, resource);
    const struct quota *old = find_pattern(set, &pattern);
    if (old != NULL && is_in_force(old, &checked, revision)) {
        return true;
    }
    if (old == NULL && quota_set_count(set) == QUOTA_SET_MAX_QUOTAS) {
        return status_fail(status, "there are more than %d quotas", (int)QUOTA_SET_MAX_QUOTAS);
    }
    uint32_t place = old != NULL ? old->index : next_place(set);
    struct quota *quota = quota_create(tenant, resource, &checked, place, revision);
    if (quota == NULL || !make_room(set, place, old == NULL, &pattern)) {
        quota_release(&quota);
        return status_fail(status, "out of memory");
    }
    if (old == NULL) {
        take_place(set, place, &pattern);
    }
    quota_release(quota_at(set, place));
    *quota_at(set, place) = quota;
    set->max_limits = checked.n_limits > set->max_limits ? checked.n_limits : set->max_limits;
    return true;
}

bool quota_set_remove(struct quota_set *set, struct bytes tenant, struct bytes resource,
                      struct status *status) {
    struct pattern pattern = make_pattern(set, tenant, resource);
    const struct quota *old = find_pattern(set, &pattern);
    if (old == NULL) {
        return true;
    }
    uint32_t place = old->index;
    if (!own_page(set, place) || !buf_append(&set->free_places, &place, sizeof place)) {
        return status_fail(status, "out of memory");
    }
    index_remove(&set->index, hash_pattern(set, &pattern), place);
    quota_release(quota_at(set, place));
    return true;
}

void quota_set_set_unknown(struct quota_set *set, enum quota_unknown unknown) {
    set->unknown = unknown;
}

void quota_set_set_revision(struct quota_set *set, uint64_t revision) {
    set->revision = revision;
}

/* ---- lifecycle ---- */

struct quota_set *quota_set_create(void) {
    struct quota_set *set = calloc(1, sizeof *set);
    if (set != NULL) {
        atomic_init(&set->n_holds, 1);
        set->seed = hash_random_seed();
        set->any_tenant_hash = hash_tenant(set, any_tenant);
    }
    return set;
}

static bool copy_pages(struct quota_set *to, const struct quota_set *from) {
    if (from->n_pages == 0) {
        return true;
    }
    to->pages = malloc(from->n_pages * sizeof(struct page *));
    if (to->pages == NULL) {
        return false;
    }
    for (; to->n_pages < from->n_pages; to->n_pages++) {
        to->pages[to->n_pages] = from->pages[to->n_pages];
        atomic_fetch_add_explicit(&to->pages[to->n_pages]->n_holds, 1, memory_order_relaxed);
    }
    return true;
}

struct quota_set *quota_set_copy(const struct quota_set *set) {
    struct quota_set *copy = calloc(1, sizeof *copy);
    if (copy == NULL) {
        return NULL;
    }
    atomic_init(&copy->n_holds, 1);
    copy->unknown = set->unknown;
    copy->seed = set->seed;
    copy->revision = set->revision;
    copy->any_tenant_hash = set->any_tenant_hash;
    copy->max_limits = set->max_limits;
    copy->n_places = set->n_places;
    if (!copy_pages(copy, set) || !copy_buf(&copy->free_places, &set->free_places) ||
        !index_copy(&copy->index, &set->index) || !index_copy(&copy->filter.index, &set->filter.index) ||
        !copy_buf(&copy->filter.tenants, &set->filter.tenants)) {
        quota_set_release(&copy);
    }
    return copy;
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
    for (uint32_t i = 0; i < held->n_pages; i++) {
        page_release(held->pages[i]);
    }
    free(held->pages);
    buf_deinit(&held->free_places);
    free(held->index.slots);
    filter_deinit(&held->filter);
    free(held);
}
