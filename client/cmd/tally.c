/* tally.c — open addressing over a growing array of keys; both double together and nothing is ever removed. */
#include "client/cmd/tally.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/hash.h"

enum { FIRST_KEYS = 256, FIRST_TEXT_BYTES = 4096, SLOTS_PER_KEY = 2 };

struct key {
    uint64_t hash;
    uint32_t text_at, text_len;
    uint64_t n[TALLY_N_RESULTS];
};

struct tally {
    uint64_t seed;
    uint32_t max_keys; /* with TALLY_OTHERS, which takes keys[0] */
    uint32_t n_keys, cap_keys;
    uint32_t n_text, cap_text;
    struct key *keys;
    uint8_t *text;
    uint32_t *slots; /* SLOTS_PER_KEY * cap_keys indices of keys; 0: free */
    uint64_t totals[TALLY_N_RESULTS];
    uint32_t n_denied_keys;
};

struct tally *tally_create(uint32_t max_keys) {
    struct tally *tally = calloc(1, sizeof *tally);
    if (tally == NULL) {
        return NULL;
    }
    tally->seed = hash_random_seed();
    tally->max_keys = max_keys + 1;
    tally->n_keys = 1;
    tally->cap_keys = FIRST_KEYS;
    tally->cap_text = FIRST_TEXT_BYTES;
    tally->keys = calloc(FIRST_KEYS, sizeof *tally->keys);
    tally->slots = calloc(FIRST_KEYS * SLOTS_PER_KEY, sizeof *tally->slots);
    tally->text = malloc(FIRST_TEXT_BYTES);
    if (tally->keys == NULL || tally->slots == NULL || tally->text == NULL) {
        tally_destroy(&tally);
    }
    return tally;
}

void tally_destroy(struct tally **tally) {
    if (*tally != NULL) {
        free((*tally)->keys);
        free((*tally)->slots);
        free((*tally)->text);
    }
    free(*tally);
    *tally = NULL;
}

/* Where a key is, or would be put. */
static uint32_t *find_slot(const struct tally *tally, struct bytes key, uint64_t hash) {
    uint32_t mask = tally->cap_keys * SLOTS_PER_KEY - 1;
    for (uint32_t at = (uint32_t)hash & mask;; at = (at + 1) & mask) {
        const struct key *kept = &tally->keys[tally->slots[at]];
        if (tally->slots[at] == 0 ||
            (kept->hash == hash && kept->text_len == key.len &&
             (key.len == 0 || memcmp(tally->text + kept->text_at, key.data, key.len) == 0))) {
            return &tally->slots[at];
        }
    }
}

static bool grow_keys(struct tally *tally) {
    uint32_t cap = tally->cap_keys * 2, mask = cap * SLOTS_PER_KEY - 1;
    uint32_t *slots = calloc((size_t)cap * SLOTS_PER_KEY, sizeof *slots);
    struct key *keys = slots == NULL ? NULL : realloc(tally->keys, cap * sizeof *keys);
    if (keys == NULL) {
        free(slots);
        return false;
    }
    for (uint32_t i = 1; i < tally->n_keys; i++) {
        uint32_t at = (uint32_t)keys[i].hash & mask;
        while (slots[at] != 0) {
            at = (at + 1) & mask;
        }
        slots[at] = i;
    }
    free(tally->slots);
    tally->slots = slots;
    tally->keys = keys;
    tally->cap_keys = cap;
    return true;
}

static bool has_room_for_text(struct tally *tally, size_t len) {
    if (len > TALLY_TEXT_MAX_BYTES - tally->n_text) {
        return false;
    }
    uint32_t cap = tally->cap_text;
    while (cap < tally->n_text + len) {
        cap *= 2;
    }
    if (cap > tally->cap_text) {
        uint8_t *text = realloc(tally->text, cap);
        if (text == NULL) {
            return false;
        }
        tally->text = text;
        tally->cap_text = cap;
    }
    return true;
}

uint32_t tally_index(struct tally *tally, struct bytes key) {
    uint64_t hash = hash_bytes(key.data, key.len, tally->seed);
    uint32_t *slot = find_slot(tally, key, hash);
    if (*slot != 0) {
        return *slot;
    }
    if (tally->n_keys == tally->max_keys || !has_room_for_text(tally, key.len)) {
        return TALLY_OTHERS;
    }
    if (tally->n_keys == tally->cap_keys) {
        if (!grow_keys(tally)) {
            return TALLY_OTHERS;
        }
        slot = find_slot(tally, key, hash);
    }
    if (key.len > 0) {
        memcpy(tally->text + tally->n_text, key.data, key.len);
    }
    tally->keys[tally->n_keys] = (struct key){hash, tally->n_text, (uint32_t)key.len, {0}};
    tally->n_text += (uint32_t)key.len;
    *slot = tally->n_keys;
    return tally->n_keys++;
}

void tally_count(struct tally *tally, uint32_t index, enum tally_result result) {
    struct key *key = &tally->keys[index];
    if (result == TALLY_DENIED && index != TALLY_OTHERS && key->n[TALLY_DENIED] == 0) {
        tally->n_denied_keys++;
    }
    key->n[result]++;
    tally->totals[result]++;
}

struct bytes tally_key(const struct tally *tally, uint32_t index) {
    return (struct bytes){tally->text + tally->keys[index].text_at, tally->keys[index].text_len};
}

uint64_t tally_total(const struct tally *tally, enum tally_result result) {
    return tally->totals[result];
}

uint64_t tally_n_others(const struct tally *tally) {
    const uint64_t *n = tally->keys[TALLY_OTHERS].n;
    return n[TALLY_ALLOWED] + n[TALLY_DENIED] + n[TALLY_FAILED];
}

uint32_t tally_n_keys(const struct tally *tally) {
    return tally->n_keys - 1;
}

uint32_t tally_n_denied_keys(const struct tally *tally) {
    return tally->n_denied_keys;
}

static bool ranks_before(const struct tally_row *a, const struct tally_row *b) {
    if (a->n[TALLY_DENIED] != b->n[TALLY_DENIED]) {
        return a->n[TALLY_DENIED] > b->n[TALLY_DENIED];
    }
    size_t common = a->key.len < b->key.len ? a->key.len : b->key.len;
    int order = common == 0 ? 0 : memcmp(a->key.data, b->key.data, common);
    return order < 0 || (order == 0 && a->key.len < b->key.len);
}

size_t tally_most_denied(const struct tally *tally, struct tally_row *rows, size_t cap) {
    size_t n = 0;
    for (uint32_t i = 1; i < tally->n_keys; i++) {
        const struct key *key = &tally->keys[i];
        struct tally_row row = {{tally->text + key->text_at, key->text_len}, {0}};
        memcpy(row.n, key->n, sizeof row.n);
        if (row.n[TALLY_DENIED] == 0 || (n == cap && (n == 0 || !ranks_before(&row, &rows[n - 1])))) {
            continue;
        }
        size_t at = n < cap ? n++ : n - 1;
        for (; at > 0 && ranks_before(&row, &rows[at - 1]); at--) {
            rows[at] = rows[at - 1];
        }
        rows[at] = row;
    }
    return n;
}
