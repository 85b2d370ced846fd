/* redis_error.c — what the error replies of Redis mean; see redis_error.h. */
#include "server/store/redis_error.h"

#include <string.h>

#include "server/core/slot.h"

static const struct redis_error_row {
    const char *code;
    enum redis_error_action action;
    bool is_fault;
    enum log_level level;
} rows[REDIS_ERROR_COUNT] = {
#define REDIS_ERROR_ROW(X, name, field, text, what, fault, severity)                                           \
    [REDIS_ERROR_##name] = {.code = text, .action = what, .is_fault = fault, .level = severity},
    REDIS_ERRORS(REDIS_ERROR_ROW, )
#undef REDIS_ERROR_ROW
};

/* Cuts the first word and the space behind it off `text`; an empty word when nothing is left. */
static struct bytes take_word(struct bytes *text) {
    const uint8_t *space = text->len > 0 ? memchr(text->data, ' ', text->len) : NULL;
    struct bytes word = {.data = text->data, .len = space != NULL ? (size_t)(space - text->data) : text->len};
    size_t n_taken = space != NULL ? word.len + 1 : word.len;
    *text = (struct bytes){.data = n_taken > 0 ? text->data + n_taken : text->data, .len = text->len - n_taken};
    return word;
}

enum redis_error redis_error_of(struct bytes text) {
    struct bytes code = take_word(&text);
    for (int i = 0; i < REDIS_ERROR_OTHER; i++) {
        if (strlen(rows[i].code) == code.len && memcmp(rows[i].code, code.data, code.len) == 0) {
            return (enum redis_error)i;
        }
    }
    return REDIS_ERROR_OTHER;
}

enum redis_error_action redis_error_action(enum redis_error error) {
    return rows[error].action;
}

bool redis_error_is_fault(enum redis_error error) {
    return rows[error].is_fault;
}

enum log_level redis_error_level(enum redis_error error) {
    return rows[error].level;
}

static bool is_slot(struct bytes word) {
    uint32_t slot = 0;
    for (size_t i = 0; i < word.len; i++) {
        if (word.data[i] < '0' || word.data[i] > '9') {
            return false;
        }
        slot = slot * 10 + (uint32_t)(word.data[i] - '0');
        if (slot >= SLOT_COUNT) {
            return false;
        }
    }
    return word.len > 0;
}

bool redis_error_redirect(struct bytes text, struct bytes *address) {
    (void)take_word(&text);
    if (!is_slot(take_word(&text))) {
        return false;
    }
    *address = take_word(&text);
    return address->len > 0 && text.len == 0;
}

bool redis_error_is_no_cluster(struct bytes text) {
    static const char beginning[] = "ERR This instance has cluster support disabled";
    size_t n = sizeof beginning - 1;
    return text.len >= n && memcmp(text.data, beginning, n) == 0;
}
