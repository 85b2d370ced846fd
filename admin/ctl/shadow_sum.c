/* shadow_sum.c — sums by tenant and resource. */
#include "admin/ctl/shadow_sum.h"

#include <stdio.h>
#include <stdlib.h>

#include "admin/ctl/field.h"

void shadow_sum_init(struct shadow_sum *sum) {
    *sum = (struct shadow_sum){.rows = json_array(), .places = json_object()};
}

void shadow_sum_deinit(struct shadow_sum *sum) {
    json_decref(sum->rows);
    json_decref(sum->places);
    *sum = (struct shadow_sum){.rows = NULL};
}

/* The row of this tenant and resource, borrowed, made if need be; NULL when memory is short. */
static json_t *find_row(struct shadow_sum *sum, const char *tenant, const char *resource) {
    char *place; /* no control character is in a name */
    if (asprintf(&place, "%s\n%s", tenant, resource) < 0) {
        return NULL;
    }
    json_t *row = json_object_get(sum->places, place);
    if (row == NULL) {
        row = json_pack("{s:s, s:s, s:i, s:i}", "tenant", tenant, "resource", resource, "allowed", 0,
                        "would_deny", 0);
        if (json_object_set(sum->places, place, row) != 0 || json_array_append(sum->rows, row) != 0) {
            json_decref(row);
            free(place);
            return NULL;
        }
        json_decref(row);
    }
    free(place);
    return row;
}

static bool add_number(json_t *row, const json_t *from, const char *name) {
    return json_object_set_new(row, name, json_integer(field_integer(row, name) + field_integer(from, name))) ==
           0;
}

bool shadow_sum_add(struct shadow_sum *sum, const json_t *answer) {
    const json_t *list = field_list(answer, "shadow");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *from = json_array_get(list, i);
        json_t *row = find_row(sum, field_text(from, "tenant"), field_text(from, "resource"));
        if (row == NULL || !add_number(row, from, "allowed") || !add_number(row, from, "would_deny")) {
            return false;
        }
    }
    return true;
}
