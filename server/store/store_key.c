/* store_key.c — the name of a bucket in Redis; see store_key.h. */
#include "server/store/store_key.h"

#include <stdbool.h>

static bool must_escape(uint8_t byte) {
    return byte < 0x20 || byte == 0x7f || byte == '%' || byte == '/' || byte == '{' || byte == '}';
}

struct key_writer {
    uint8_t *out;
    size_t len, cap;
    bool is_full;
};

static void put_byte(struct key_writer *writer, uint8_t byte) {
    if (writer->len == writer->cap) {
        writer->is_full = true;
        return;
    }
    writer->out[writer->len++] = byte;
}

static void put_hex(struct key_writer *writer, uint8_t byte) {
    static const char digits[] = "0123456789abcdef";
    put_byte(writer, (uint8_t)digits[byte >> 4]);
    put_byte(writer, (uint8_t)digits[byte & 15]);
}

static void put_part(struct key_writer *writer, struct bytes part) {
    for (size_t i = 0; i < part.len; i++) {
        uint8_t byte = part.data[i];
        if (must_escape(byte)) {
            put_byte(writer, '%');
            put_hex(writer, byte);
        } else {
            put_byte(writer, byte);
        }
    }
}

size_t store_key_write(const struct bucket_name *name, uint8_t *out, size_t cap) {
    static const char letters[] = {
        [BUCKET_PER_KEY] = 's', [BUCKET_PER_RESOURCE] = 'r', [BUCKET_PER_TENANT] = 't', [BUCKET_GLOBAL] = 'g'};
    struct key_writer writer = {.out = out, .cap = cap};
    put_byte(&writer, (uint8_t)letters[name->scope]);
    put_byte(&writer, ':');
    put_part(&writer, name->tenant);
    put_byte(&writer, '/');
    put_part(&writer, name->resource);
    put_byte(&writer, '/');
    put_part(&writer, name->key);
    return writer.is_full ? 0 : writer.len;
}

/* The tag makes the slot the bucket's. */
static void put_beginning(struct key_writer *writer, struct bytes bucket, char what) {
    put_byte(writer, '{');
    for (size_t i = 0; i < bucket.len; i++) {
        put_byte(writer, bucket.data[i]);
    }
    put_byte(writer, '}');
    put_byte(writer, (uint8_t)what);
    put_byte(writer, ':');
}

size_t store_key_write_memo(struct bytes bucket, struct bytes memo, uint8_t *out, size_t cap) {
    struct key_writer writer = {.out = out, .cap = cap};
    put_beginning(&writer, bucket, 'i');
    put_part(&writer, memo);
    return writer.is_full ? 0 : writer.len;
}

size_t store_key_write_reservation(struct bytes bucket, const uint8_t id[STORE_RESERVATION_ID_BYTES],
                                   uint8_t *out, size_t cap) {
    struct key_writer writer = {.out = out, .cap = cap};
    put_beginning(&writer, bucket, 'v');
    for (size_t i = 0; i < STORE_RESERVATION_ID_BYTES; i++) {
        put_hex(&writer, id[i]);
    }
    return writer.is_full ? 0 : writer.len;
}
