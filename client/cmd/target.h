/* target.h — which frontends a command asks: --server, else SLUICE_SERVER, else the library's default; and about whose
 * bucket. */
#ifndef SLUICE_CLIENT_CMD_TARGET_H
#define SLUICE_CLIENT_CMD_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include "client/cmd/options.h"
#include "client/sluice.h"
#include "server/base/status.h"

#define TARGET_SERVER_HELP                                                                                     \
    "frontend to ask; repeatable, else SLUICE_SERVER (comma-separated), else " SLUICE_DEFAULT_SERVER

enum { TARGET_TIMEOUT_DEFAULT_US = SLUICE_DEFAULT_TIMEOUT_MS * 1000, TARGET_TIMEOUT_MAX_US = 60 * 1000 * 1000 };

struct target {
    struct sluice_options options; /* for sluice_open and sluice_attach; its servers are never NULL */
    struct options_list servers;
    char *environment; /* what `servers` points into when it came from there; owned */
};

/* `given` is what --server said, `environment` the value of SLUICE_SERVER (NULL and "": not set); the texts of `given`
 * are borrowed until deinit. The timeout is rounded up to milliseconds. False with a sentence. The target must
 * not be moved afterwards. */
bool target_init(struct target *target, const struct options_list *given, const char *environment,
                 int64_t timeout_us, struct status *status) __attribute__((warn_unused_result));
void target_deinit(struct target *target);

/* A client for them, to be closed by the caller; `environment` as above. NULL with a sentence. */
struct sluice_client *target_open(const struct options_list *given, const char *environment, int64_t timeout_us,
                                  struct status *status);

/* The check that the arguments TENANT RESOURCE KEY name, with an idempotency key unless that is NULL; borrows them. */
struct sluice_check target_check_of(char *const *arguments, const char *idempotency_key);

/* A number of tokens, `min` or more. False with a sentence that names the argument. */
bool target_read_tokens(const char *name, const char *text, int64_t min, uint64_t *tokens,
                        struct status *status) __attribute__((warn_unused_result));

/* What a person can do about a failed call, to be put behind its message; "" when nothing general helps, or
 * when it is the frontend's store that failed. */
const char *target_advice(enum sluice_status status, const char *message);

#endif
