/* redis_request.c — writes commands as Redis reads them; see redis_request.h. */
#include "server/store/redis_request.h"

#include <string.h>

#include "server/base/ensure.h"

static uint8_t *put_number_line(uint8_t *out, uint8_t mark, size_t number) {
    uint8_t digits[20];
    size_t n = 0;
    do {
        digits[n++] = (uint8_t)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    *out++ = mark;
    while (n > 0) {
        *out++ = digits[--n];
    }
    *out++ = '\r';
    *out++ = '\n';
    return out;
}

uint8_t *redis_put_command(uint8_t *out, uint32_t n_words) {
    return put_number_line(out, '*', n_words);
}

uint8_t *redis_put_word(uint8_t *out, struct bytes word) {
    out = put_number_line(out, '$', word.len);
    if (word.len > 0) {
        memcpy(out, word.data, word.len);
    }
    out += word.len;
    *out++ = '\r';
    *out++ = '\n';
    return out;
}

static struct bytes bytes_of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

static bool append_beginning(struct buf *out, uint32_t n_words) {
    uint8_t *from = buf_reserve(out, REDIS_WORD_EXTRA_BYTES);
    if (from == NULL) {
        return false;
    }
    buf_commit(out, (size_t)(redis_put_command(from, n_words) - from));
    return true;
}

static bool append_word(struct buf *out, struct bytes word) {
    uint8_t *from = buf_reserve(out, word.len + REDIS_WORD_EXTRA_BYTES);
    if (from == NULL) {
        return false;
    }
    buf_commit(out, (size_t)(redis_put_word(from, word) - from));
    return true;
}

bool redis_append_command(struct buf *out, const char *const *words, uint32_t n_words) {
    if (!append_beginning(out, n_words)) {
        return false;
    }
    for (uint32_t i = 0; i < n_words; i++) {
        if (!append_word(out, bytes_of(words[i]))) {
            return false;
        }
    }
    return true;
}

size_t redis_put_tail_of_keys(const struct bytes *keys, uint32_t n_keys, struct bytes argument, uint8_t *out) {
    ensure(n_keys, <=, 9);
    const uint8_t digit = (uint8_t)('0' + n_keys);
    uint8_t *end = redis_put_word(out, (struct bytes){.data = &digit, .len = 1});
    for (uint32_t i = 0; i < n_keys; i++) {
        end = redis_put_word(end, keys[i]);
    }
    end = redis_put_word(end, argument);
    return (size_t)(end - out);
}

size_t redis_put_tail(struct bytes key, struct bytes argument, uint8_t *out) {
    return redis_put_tail_of_keys(&key, 1, argument, out);
}

uint8_t *redis_tail_argument(uint8_t *tail, size_t tail_bytes, size_t argument_bytes) {
    enum { LINE_END_BYTES = 2 };
    return tail + tail_bytes - LINE_END_BYTES - argument_bytes;
}

/* The command's name and how the script is named; the tail's words are still to come: a number, keys, argument. */
static bool append_head(struct buf *out, const char *command, const struct script *script, struct bytes name) {
    return append_beginning(out, 2 + 1 + script->n_keys + 1) && append_word(out, bytes_of(command)) &&
           append_word(out, name);
}

bool redis_heads_init(struct redis_heads *heads, const struct script *script) {
    struct bytes body = {.data = (const uint8_t *)script->body, .len = script->body_bytes};
    *heads = (struct redis_heads){0};
    return append_head(&heads->by_sha1, "EVALSHA", script, bytes_of(script->sha1)) &&
           append_head(&heads->by_body, "EVAL", script, body) &&
           redis_append_command(&heads->asking_body, (const char *const[]){"ASKING"}, 1) &&
           append_head(&heads->asking_body, "EVAL", script, body);
}

void redis_heads_deinit(struct redis_heads *heads) {
    buf_deinit(&heads->by_sha1);
    buf_deinit(&heads->by_body);
    buf_deinit(&heads->asking_body);
}
