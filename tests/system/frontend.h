/* frontend.h — a real sluiced on free ports for a test, its admin pages and its metrics. */
#ifndef SLUICE_TESTS_FRONTEND_H
#define SLUICE_TESTS_FRONTEND_H

#include "tests/system/harness.h"

struct frontend {
    struct harness *harness;
    pid_t pid;
    uint16_t port, admin_port;
    char address[32];                  /* of the checks: "127.0.0.1:40000" */
    char log_path[HARNESS_PATH_BYTES]; /* its standard error */
};

/* Starts sluiced with the flags given (a list that ends in NULL) and all else by default, and waits until it
 * says that it serves. `wrapper` is a list of words put before the program, or NULL. */
void frontend_start_as_shipped(struct harness *harness, struct frontend *frontend, const char *const wrapper[],
                               const char *const flags[]);
/* The same with generous time limits before the flags. */
void frontend_start_wrapped(struct harness *harness, struct frontend *frontend, const char *const wrapper[],
                            const char *const flags[]);
#define FRONTEND_START(harness, frontend, ...)                                                                 \
    frontend_start_wrapped(harness, frontend, NULL, (const char *const[]){__VA_ARGS__, NULL})

/* Asks it to stop and fails the test unless it ends with exit code 0. */
void frontend_stop(struct frontend *frontend);
/* The same for those of `n` that run. */
void frontend_stop_all(struct frontend frontends[], size_t n);
/* Waits for the end of one that was told to stop; fails the test unless its exit code is 0. */
void frontend_await_end(struct frontend *frontend);

/* Gets a page of the admin port. Returns the HTTP status; 0 when nobody listens. */
int frontend_get(const struct frontend *frontend, const char *path, char *body, size_t cap);
int frontend_get_status(const struct frontend *frontend, const char *path);
/* Waits until a page has this status; fails the test after 30 s. */
void frontend_await_status(const struct frontend *frontend, const char *path, int status);

/* A metric's value by its full name, such as sluice_requests_total{call="ping"}. */
uint64_t frontend_metric(const struct frontend *frontend, const char *series);
/* Waits until the metric has the value; fails the test after 10 s. */
void frontend_await_metric(const struct frontend *frontend, const char *series, uint64_t value);

/* What is left in a limit of a bucket; `bucket` as the admin API has it: acme/buckets/api.read/alice. */
double frontend_level(const struct frontend *frontend, const char *bucket, const char *limit);
/* Waits until there is that much, but for the little that a slow limit gains meanwhile: what is on lease comes back. Fails
 * the test after 10 s. */
void frontend_await_level(const struct frontend *frontend, const char *bucket, const char *limit, double level);

/* A connected socket to a port of 127.0.0.1, or -1. */
int connect_to(uint16_t port);

#endif
