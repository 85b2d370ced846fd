/* redis_reply.c — bytes from Redis become plain structs; see redis_reply.h.
 *
 * hiredis asks for an object for each node it has read and hands back only the root's; ours is the node's
 * place in the array plus one, since NULL means failure to hiredis. While a reply grows, both arrays may move:
 * until it is whole a text is kept as an offset, in `integer`. */
#include "server/store/redis_reply.h"

#include <hiredis/read.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_NODES = 64, FIRST_TEXT_BYTES = 1024 };

struct redis_reader {
    redisReader *parser;
    redisReplyObjectFunctions functions;
    struct redis_reply *nodes;
    uint8_t *text;
    size_t n_nodes, cap_nodes, n_text, cap_text;
    const char *problem;
};

static void *object_of_index(size_t index) {
    return (void *)(uintptr_t)(index + 1);
}

static size_t index_of_object(const void *object) {
    return (size_t)(uintptr_t)object - 1;
}

static size_t grown(size_t cap, size_t first, size_t need, size_t most) {
    cap = cap > 0 ? cap : first;
    while (cap < need) {
        cap *= 2;
    }
    return cap < most ? cap : most;
}

static bool reserve_node(struct redis_reader *reader) {
    size_t need = reader->n_nodes + 1;
    if (need <= reader->cap_nodes) {
        return true;
    }
    if (need > REDIS_REPLY_MAX_NODES) {
        reader->problem = "a reply of too many parts";
        return false;
    }
    size_t cap = grown(reader->cap_nodes, FIRST_NODES, need, REDIS_REPLY_MAX_NODES);
    struct redis_reply *nodes = realloc(reader->nodes, cap * sizeof *nodes);
    if (nodes == NULL) {
        return false;
    }
    reader->nodes = nodes;
    reader->cap_nodes = cap;
    return true;
}

static bool reserve_text(struct redis_reader *reader, size_t n_bytes) {
    if (n_bytes <= reader->cap_text - reader->n_text) {
        return true;
    }
    if (n_bytes > REDIS_REPLY_MAX_BYTES - reader->n_text) {
        reader->problem = "a reply of too many bytes";
        return false;
    }
    size_t cap = grown(reader->cap_text, FIRST_TEXT_BYTES, reader->n_text + n_bytes, REDIS_REPLY_MAX_BYTES);
    uint8_t *text = realloc(reader->text, cap);
    if (text == NULL) {
        return false;
    }
    reader->text = text;
    reader->cap_text = cap;
    return true;
}

static void *add_node(const redisReadTask *task, struct redis_reply node) {
    struct redis_reader *reader = task->privdata;
    if (!reserve_node(reader)) {
        return NULL;
    }
    node.n_nodes = 1;
    for (const redisReadTask *above = task->parent; above != NULL; above = above->parent) {
        reader->nodes[index_of_object(above->obj)].n_nodes++;
    }
    reader->nodes[reader->n_nodes] = node;
    return object_of_index(reader->n_nodes++);
}

static void *on_text(const redisReadTask *task, char *text, size_t n_bytes) {
    struct redis_reader *reader = task->privdata;
    if (!reserve_text(reader, n_bytes)) {
        return NULL;
    }
    struct redis_reply node = {
        .kind = task->type == REDIS_REPLY_ERROR    ? REDIS_KIND_ERROR
                : task->type == REDIS_REPLY_STATUS ? REDIS_KIND_STATUS
                                                   : REDIS_KIND_STRING,
        .integer = (int64_t)reader->n_text,
        .text.len = n_bytes,
    };
    memcpy(reader->text + reader->n_text, text, n_bytes);
    reader->n_text += n_bytes;
    return add_node(task, node);
}

static void *on_array(const redisReadTask *task, int n_children) {
    return add_node(task, (struct redis_reply){.kind = REDIS_KIND_ARRAY, .n_children = (uint32_t)n_children});
}

static void *on_integer(const redisReadTask *task, long long value) {
    return add_node(task, (struct redis_reply){.kind = REDIS_KIND_INTEGER, .integer = value});
}

static void *on_nil(const redisReadTask *task) {
    return add_node(task, (struct redis_reply){.kind = REDIS_KIND_NIL});
}

static redisReader *create_parser(struct redis_reader *reader) {
    reader->functions = (redisReplyObjectFunctions){
        .createString = on_text,
        .createArray = on_array,
        .createInteger = on_integer,
        .createNil = on_nil,
        .freeObject = NULL, /* the arrays are cleared before each reply */
    };
    redisReader *parser = redisReaderCreateWithFunctions(&reader->functions);
    if (parser != NULL) {
        parser->privdata = reader;
        parser->maxbuf = 0; /* never give the buffer back: hiredis asserts that it gets another */
    }
    return parser;
}

struct redis_reader *redis_reader_create(void) {
    struct redis_reader *reader = malloc(sizeof *reader);
    if (reader == NULL) {
        return NULL;
    }
    *reader = (struct redis_reader){0};
    reader->parser = create_parser(reader);
    if (reader->parser == NULL || !reserve_node(reader) || !reserve_text(reader, 1)) {
        redis_reader_destroy(&reader);
    }
    return reader;
}

void redis_reader_destroy(struct redis_reader **reader) {
    struct redis_reader *old = *reader;
    if (old != NULL) {
        if (old->parser != NULL) {
            redisReaderFree(old->parser);
        }
        free(old->nodes);
        free(old->text);
        free(old);
    }
    *reader = NULL;
}

void redis_reader_feed(struct redis_reader *reader, const uint8_t *bytes, size_t n_bytes) {
    (void)redisReaderFeed(reader->parser, (const char *)bytes, n_bytes);
}

/* Texts get their addresses once the arrays stay where they are. */
static void place_texts(struct redis_reader *reader) {
    for (size_t i = 0; i < reader->n_nodes; i++) {
        struct redis_reply *node = &reader->nodes[i];
        switch (node->kind) {
        case REDIS_KIND_STRING:
        case REDIS_KIND_STATUS:
        case REDIS_KIND_ERROR:
            node->text.data = reader->text + node->integer;
            node->integer = 0;
            break;
        case REDIS_KIND_INTEGER:
        case REDIS_KIND_NIL:
        case REDIS_KIND_ARRAY:
            break;
        }
    }
}

enum redis_reader_outcome redis_reader_next(struct redis_reader *reader, const struct redis_reply **reply) {
    redisReader *parser = reader->parser;
    if (parser->ridx == -1) { /* no reply is half read */
        reader->n_nodes = reader->n_text = 0;
    }
    void *root = NULL;
    if (redisReaderGetReply(parser, &root) != REDIS_OK || reader->problem != NULL) {
        return REDIS_READER_BROKEN;
    }
    if (root == NULL) {
        if (parser->len - parser->pos > REDIS_REPLY_MAX_BYTES) {
            reader->problem = "a reply of too many bytes";
            return REDIS_READER_BROKEN;
        }
        return REDIS_READER_MORE;
    }
    place_texts(reader);
    *reply = &reader->nodes[index_of_object(root)];
    return REDIS_READER_REPLY;
}

const char *redis_reader_problem(const struct redis_reader *reader) {
    return reader->problem != NULL ? reader->problem : reader->parser->errstr;
}

const struct redis_reply *redis_reply_first(const struct redis_reply *array) {
    return array + 1;
}

const struct redis_reply *redis_reply_next(const struct redis_reply *node) {
    return node + node->n_nodes;
}

const struct redis_reply *redis_reply_child(const struct redis_reply *node, uint32_t index) {
    if (node->kind != REDIS_KIND_ARRAY || index >= node->n_children) {
        return NULL;
    }
    const struct redis_reply *child = redis_reply_first(node);
    for (; index > 0; index--) {
        child = redis_reply_next(child);
    }
    return child;
}
