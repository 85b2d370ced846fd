/* redis_reply.h — bytes from Redis become plain structs.
 *
 * The parser is hiredis' redisReader, and redis_reply.c is its only includer. A reply is an array of nodes in
 * the order in which they came, an array's children behind it; nodes and texts live in the reader and are used
 * again for the next reply, so that nothing is allocated for each. A reader belongs to one connection. */
#ifndef SLUICE_STORE_REDIS_REPLY_H
#define SLUICE_STORE_REDIS_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "server/base/bytes.h"

/* A reply above either is taken for a broken stream. */
enum { REDIS_REPLY_MAX_NODES = 65536, REDIS_REPLY_MAX_BYTES = 4 * 1024 * 1024 };

enum redis_reply_kind {
    REDIS_KIND_STRING,
    REDIS_KIND_STATUS, /* "+OK" */
    REDIS_KIND_ERROR,  /* "-MOVED 1 host:port" */
    REDIS_KIND_INTEGER,
    REDIS_KIND_NIL,
    REDIS_KIND_ARRAY,
};

struct redis_reply {
    enum redis_reply_kind kind;
    uint32_t n_children; /* of an array */
    uint32_t n_nodes;    /* itself and all below: its next sibling is so many nodes further */
    int64_t integer;
    struct bytes text; /* of a string, status or error; owned by the reader */
};

/* The first child of an array that has one, and the next sibling of a node that has one; never checked. */
const struct redis_reply *redis_reply_first(const struct redis_reply *array);
const struct redis_reply *redis_reply_next(const struct redis_reply *node);
/* Child `index` of `node`; NULL when it is no array or has fewer. Walks: takes time in proportion to index. */
const struct redis_reply *redis_reply_child(const struct redis_reply *node, uint32_t index);

struct redis_reader;

/* NULL when memory is short. Destroy nulls the pointer; NULL inside is fine. */
struct redis_reader *redis_reader_create(void);
void redis_reader_destroy(struct redis_reader **reader);

/* Adds bytes as they arrived; they are copied. What goes wrong shows in redis_reader_next. */
void redis_reader_feed(struct redis_reader *reader, const uint8_t *bytes, size_t n_bytes);

enum redis_reader_outcome {
    REDIS_READER_REPLY,  /* `reply` is set, and valid until the next call on this reader */
    REDIS_READER_MORE,   /* no whole reply is there */
    REDIS_READER_BROKEN, /* not RESP2, too large, or memory is short: for good */
};

enum redis_reader_outcome redis_reader_next(struct redis_reader *reader, const struct redis_reply **reply);

/* Why it is broken; never NULL. */
const char *redis_reader_problem(const struct redis_reader *reader);

#endif
