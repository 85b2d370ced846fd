/* json_bytes.c — bytes as a JSON string; see json_bytes.h. */
#include "admin/json_bytes.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct json_t *json_of_bytes(struct bytes bytes) {
    const char *text = bytes.len > 0 ? (const char *)bytes.data : "";
    json_t *string = json_stringn(text, bytes.len);
    if (string != NULL) {
        return string;
    }
    char *copy = malloc(bytes.len + 1);
    if (copy == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < bytes.len; i++) {
        copy[i] = text[i];
        if (bytes.data[i] > 127) {
            copy[i] = '?';
        }
    }
    string = json_stringn(copy, bytes.len);
    free(copy);
    return string;
}

struct json_t *json_of_text(struct bytes text) {
    if (text.len == 0) {
        return json_null();
    }
    json_t *value = json_loadb((const char *)text.data, text.len, JSON_DECODE_ANY, NULL);
    return value != NULL ? value : json_of_bytes(text);
}
