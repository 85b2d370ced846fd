/* returns.c — reservations that go back, in a binary heap; see returns.h. */
#include "server/limit/returns.h"

#include <stdlib.h>
#include <string.h>

#include "server/limit/limiter.h"

void returns_deinit(struct returns *returns) {
    for (uint32_t i = 0; i < returns->n; i++) {
        free(returns->dues[i]);
    }
    free(returns->dues);
    *returns = (struct returns){0};
}

static struct due *create(const struct due *due) {
    struct due *own = malloc(sizeof *own + due->tenant.len + due->resource.len + due->key.len);
    if (own != NULL) {
        uint8_t *at = (uint8_t *)(own + 1);
        *own = *due;
        own->tenant = bytes_copy(&at, due->tenant);
        own->resource = bytes_copy(&at, due->resource);
        own->key = bytes_copy(&at, due->key);
    }
    return own;
}

static bool make_room(struct returns *returns) {
    if (returns->n < returns->n_places) {
        return true;
    }
    uint32_t n_places = returns->n_places > 0 ? 2 * returns->n_places : 64;
    struct due **dues =
        n_places <= LIMITER_MAX_RETURNS ? reallocarray(returns->dues, n_places, sizeof(struct due *)) : NULL;
    if (dues != NULL) {
        returns->dues = dues;
        returns->n_places = n_places;
    }
    return dues != NULL;
}

static void swap(struct returns *returns, uint32_t a, uint32_t b) {
    struct due *due = returns->dues[a];
    returns->dues[a] = returns->dues[b];
    returns->dues[b] = due;
}

static bool is_before(const struct returns *returns, uint32_t a, uint32_t b) {
    return returns->dues[a]->at_us < returns->dues[b]->at_us;
}

bool returns_add(struct returns *returns, const struct due *due) {
    struct due *own = make_room(returns) ? create(due) : NULL;
    if (own == NULL) {
        return false;
    }
    uint32_t i = returns->n++;
    returns->dues[i] = own;
    while (i > 0 && is_before(returns, i, (i - 1) / 2)) {
        swap(returns, i, (i - 1) / 2);
        i = (i - 1) / 2;
    }
    return true;
}

struct due *returns_take(struct returns *returns, int64_t now_us) {
    if (returns->n == 0 || returns->dues[0]->at_us > now_us) {
        return NULL;
    }
    struct due *first = returns->dues[0];
    returns->dues[0] = returns->dues[--returns->n];
    for (uint32_t i = 0, child; (child = 2 * i + 1) < returns->n; i = child) {
        child += child + 1 < returns->n && is_before(returns, child + 1, child);
        if (!is_before(returns, child, i)) {
            break;
        }
        swap(returns, i, child);
    }
    return first;
}
