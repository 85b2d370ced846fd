/* hot_sum.c — sums by tenant, resource and key. */
#include "admin/ctl/hot_sum.h"

#include <stdlib.h>
#include <string.h>

#include "admin/ctl/field.h"

void hot_sum_init(struct hot_sum *sum) {
    *sum = (struct hot_sum){.rows = json_object()};
}

void hot_sum_deinit(struct hot_sum *sum) {
    json_decref(sum->rows);
    *sum = (struct hot_sum){.rows = NULL};
}

/* What a row is found by: its names as JSON, since a key may hold any byte. To be freed; NULL when memory is short. */
static char *create_place(const json_t *row) {
    json_t *names = json_pack("[O, O, O]", json_object_get(row, "tenant"), json_object_get(row, "resource"),
                              json_object_get(row, "key"));
    char *place = json_dumps(names, JSON_COMPACT);
    json_decref(names);
    return place;
}

/* The row of these names, borrowed, made if need be; NULL when memory is short. */
static json_t *find_row(struct hot_sum *sum, const json_t *from) {
    char *place = create_place(from);
    json_t *row = place != NULL ? json_object_get(sum->rows, place) : NULL;
    if (place != NULL && row == NULL) {
        row = json_pack("{s:O, s:O, s:O, s:b, s:i, s:i, s:{}}", "tenant", json_object_get(from, "tenant"),
                        "resource", json_object_get(from, "resource"), "key", json_object_get(from, "key"),
                        "hot", 0, "checks_per_s", 0, "denied_per_s", 0, "sources");
        if (json_object_set_new(sum->rows, place, row) != 0) {
            row = NULL;
        }
    }
    free(place);
    return row;
}

static bool add_number(json_t *row, const json_t *from, const char *name) {
    return json_object_set_new(row, name, json_integer(field_integer(row, name) + field_integer(from, name))) ==
           0;
}

static bool add_row(json_t *row, const json_t *from) {
    json_t *sources = json_object_get(row, "sources"), *told = json_object_get(from, "sources"), *value;
    const char *name;
    bool is_added = add_number(row, from, "checks_per_s") && add_number(row, from, "denied_per_s");
    if (json_is_true(json_object_get(from, "hot"))) {
        is_added = json_object_set_new(row, "hot", json_true()) == 0 && is_added;
    }
    json_object_foreach(told, name, value) {
        is_added = is_added && add_number(sources, told, name);
    }
    return is_added;
}

static bool is_named(const json_t *row) {
    return json_is_string(json_object_get(row, "tenant")) && json_is_string(json_object_get(row, "resource")) &&
           json_is_string(json_object_get(row, "key"));
}

bool hot_sum_add(struct hot_sum *sum, const json_t *answer) {
    const json_t *list = field_list(answer, "hotkeys");
    sum->n_silent_workers += field_integer(answer, "silent_workers");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *from = json_array_get(list, i);
        json_t *row = is_named(from) ? find_row(sum, from) : NULL;
        if (is_named(from) && (row == NULL || !add_row(row, from))) {
            return false;
        }
    }
    return true;
}

struct place {
    const char *name;
    json_t *row;
    int64_t checks_per_s;
};

static int compare_places(const void *left, const void *right) {
    const struct place *a = left, *b = right;
    return a->checks_per_s != b->checks_per_s
               ? (a->checks_per_s < b->checks_per_s) - (a->checks_per_s > b->checks_per_s)
               : strcmp(a->name, b->name);
}

json_t *hot_sum_list(const struct hot_sum *sum, size_t limit) {
    struct place *places = calloc(json_object_size(sum->rows) + 1, sizeof *places);
    json_t *list = places != NULL ? json_array() : NULL, *row;
    const char *name;
    size_t n = 0;
    if (list == NULL) {
        free(places);
        return NULL;
    }
    json_object_foreach(sum->rows, name, row) {
        places[n++] =
            (struct place){.name = name, .row = row, .checks_per_s = field_integer(row, "checks_per_s")};
    }
    qsort(places, n, sizeof *places, compare_places);
    for (size_t i = 0; list != NULL && i < n && i < limit; i++) {
        if (json_array_append(list, places[i].row) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    free(places);
    return list;
}
