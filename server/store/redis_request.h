/* redis_request.h — writes commands as Redis reads them: RESP2 arrays of words.
 *
 * A call of a script is sent in two parts: a head that says how the script is named, made once for each
 * script, and a tail that is the call's own: number of keys, keys, one argument. */
#ifndef SLUICE_STORE_REDIS_REQUEST_H
#define SLUICE_STORE_REDIS_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/buf.h"
#include "server/base/bytes.h"
#include "server/store/script.h"

/* At most so many bytes stand around a word. */
enum { REDIS_WORD_EXTRA_BYTES = 32 };

/* Write at `out` and return where they ended. A word takes at most its length + REDIS_WORD_EXTRA_BYTES, a
 * command's beginning REDIS_WORD_EXTRA_BYTES. */
uint8_t *redis_put_command(uint8_t *out, uint32_t n_words);
uint8_t *redis_put_word(uint8_t *out, struct bytes word);

/* Appends a command of words without NULs. False when memory is short; `out` is then undefined. */
bool redis_append_command(struct buf *out, const char *const *words, uint32_t n_words)
    __attribute__((warn_unused_result));

/* What a tail of one key holds at most beside key and argument; each further key adds REDIS_WORD_EXTRA_BYTES. */
enum { REDIS_TAIL_EXTRA_BYTES = 3 * REDIS_WORD_EXTRA_BYTES };

/* Writes the tail of a script call on one key, or on several in one slot, with one argument; returns its length.
 * `n_keys` is the script's, at most 9. */
size_t redis_put_tail(struct bytes key, struct bytes argument, uint8_t *out);
size_t redis_put_tail_of_keys(const struct bytes *keys, uint32_t n_keys, struct bytes argument, uint8_t *out);

/* Where the argument of `argument_bytes` stands in a tail of `tail_bytes`, so that it may be overwritten. */
uint8_t *redis_tail_argument(uint8_t *tail, size_t tail_bytes, size_t argument_bytes);

struct redis_heads {
    struct buf by_sha1;     /* EVALSHA sha1 */
    struct buf by_body;     /* EVAL body */
    struct buf asking_body; /* ASKING, then EVAL body: draws two replies */
};

/* False when memory is short. Deinit frees, in either case. */
bool redis_heads_init(struct redis_heads *heads, const struct script *script)
    __attribute__((warn_unused_result));
void redis_heads_deinit(struct redis_heads *heads);

#endif
