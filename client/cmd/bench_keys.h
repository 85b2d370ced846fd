/* bench_keys.h — which key each check asks about: one, uniform, Zipf, or those of a file.
 *
 * The text of a choice is
 *   one              always the same key
 *   uniform:N        N keys, each as often
 *   zipf:N[:S]       N keys, the k-th in proportion to 1 / k^S; S is 0.99 unless given
 *   file:PATH        the lines of a file in their order, over and over; at most 256 bytes a line
 * Numbered keys have BENCH_KEYS_KEY_BYTES bytes each, "bench:" and the number. One thread. */
#ifndef SLUICE_CLIENT_CMD_BENCH_KEYS_H
#define SLUICE_CLIENT_CMD_BENCH_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/cmd/zipf.h"
#include "server/base/bytes.h"
#include "server/base/status.h"

enum { BENCH_KEYS_KEY_BYTES = 24, BENCH_KEYS_FILE_MAX_BYTES = 1 << 30 };

enum bench_keys_kind { BENCH_KEYS_ONE, BENCH_KEYS_UNIFORM, BENCH_KEYS_ZIPF, BENCH_KEYS_FILE };

struct bench_keys {
    enum bench_keys_kind kind;
    uint64_t n; /* different keys, or lines of the file */
    struct zipf zipf;
    char *text; /* the file; owned */
    size_t text_bytes, at;
};

/* Reads the choice, and its file. False with a sentence; deinit is harmless then. */
bool bench_keys_init(struct bench_keys *keys, const char *choice, struct status *status)
    __attribute__((warn_unused_result));
void bench_keys_deinit(struct bench_keys *keys);

/* The next key. It is in `numbered`, or borrowed from the file's text until deinit. */
struct bytes bench_keys_next(struct bench_keys *keys, struct rng *rng, uint8_t numbered[BENCH_KEYS_KEY_BYTES]);

#endif
