/* json_bytes.c — bytes as a JSON string; see json_bytes.h. */
#include "admin/json_bytes.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of the character that begins at `at`, of which `n_left` are there; 0 when it is none. */
static size_t character_bytes(const uint8_t *at, size_t n_left) {
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000}; /* by length: longer forms are not good */
    size_t len = at[0] < 0x80 ? 1 : at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : at[0] >= 0xc0 ? 2 : 0;
    if (len == 0 || len > n_left || at[0] > 0xf7) {
        return 0;
    }
    uint32_t code = len == 1 ? at[0] : at[0] & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (at[i] & 0x3f);
    }
    bool is_good = code >= smallest[len] && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
    return is_good ? len : 0;
}

bool json_can_carry(struct bytes bytes) {
    for (size_t i = 0, n; i < bytes.len; i += n) {
        n = character_bytes(bytes.data + i, bytes.len - i);
        if (n == 0) {
            return false;
        }
    }
    return true;
}

struct json_t *json_of_bytes(struct bytes bytes) {
    const char *text = bytes.len > 0 ? (const char *)bytes.data : "";
    if (json_can_carry(bytes)) {
        return json_stringn(text, bytes.len);
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
    json_t *string = json_stringn(copy, bytes.len);
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
