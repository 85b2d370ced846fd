/* field.c — lenient access to the members of JSON objects. */
#include "admin/ctl/field.h"

const char *field_text(const json_t *object, const char *name) {
    const char *text = json_string_value(json_object_get(object, name));
    return text != NULL ? text : "";
}

int64_t field_integer(const json_t *object, const char *name) {
    return json_integer_value(json_object_get(object, name));
}

const json_t *field_list(const json_t *object, const char *name) {
    const json_t *list = json_object_get(object, name);
    return json_is_array(list) ? list : NULL;
}
