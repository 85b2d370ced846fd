/* redis_fixture.h — a redis-server of the test's own, and just enough RESP to talk to it.
 *
 * Blocking, one thread. The server listens on a free port of 127.0.0.1, writes nothing to disk, and dies
 * with the process that started it, however that ends. Problems are told on stderr. */
#ifndef SLUICE_TESTS_SUPPORT_REDIS_FIXTURE_H
#define SLUICE_TESTS_SUPPORT_REDIS_FIXTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "server/base/buf.h"
#include "server/base/bytes.h"

struct redis_fixture;

/* NULL when the server cannot be started. Stop kills it and nulls the pointer. */
struct redis_fixture *redis_fixture_start(void);
/* The same with words before the program, which end in its execution, and flags after its own; each a list that
 * ends in NULL, or NULL. */
struct redis_fixture *redis_fixture_start_with(const char *const wrapper[], const char *const flags[]);
void redis_fixture_stop(struct redis_fixture **fixture);
/* Kills the server; starts another, which knows nothing, on the same port. */
void redis_fixture_kill(struct redis_fixture *fixture);
bool redis_fixture_start_again(struct redis_fixture *fixture) __attribute__((warn_unused_result));
uint16_t redis_fixture_port(const struct redis_fixture *fixture);
pid_t redis_fixture_pid(const struct redis_fixture *fixture);

/* One connection. An all-zero struct with fd -1 is a closed one. */
struct redis_link {
    int fd;
    struct buf out, in;
    size_t n_read_bytes; /* of `in`: the reply that was read last */
};

enum redis_kind { REDIS_STATUS, REDIS_ERROR, REDIS_INTEGER, REDIS_BULK, REDIS_NIL };

struct redis_answer {
    enum redis_kind kind;
    int64_t integer;
    struct bytes text; /* of status, error and bulk; borrowed until the next read */
};

bool redis_link_open(struct redis_link *link, uint16_t port) __attribute__((warn_unused_result));
void redis_link_close(struct redis_link *link);

/* Queue a command, send all that is queued, read the next answer (arrays are not understood). False when the
 * connection is lost or memory is short. */
bool redis_link_queue(struct redis_link *link, const struct bytes *args, size_t n_args)
    __attribute__((warn_unused_result));
bool redis_link_flush(struct redis_link *link) __attribute__((warn_unused_result));
bool redis_link_read(struct redis_link *link, struct redis_answer *answer) __attribute__((warn_unused_result));

/* One command from C strings, the last one NULL, and its answer; nothing else may be under way. */
bool redis_link_call(struct redis_link *link, struct redis_answer *answer, ...)
    __attribute__((warn_unused_result, sentinel));

/* How often `command` (in lower case) was called since CONFIG RESETSTAT, by INFO commandstats; -1: lost. */
int64_t redis_link_calls_of(struct redis_link *link, const char *command);

#endif
