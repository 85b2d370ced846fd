/* harness.h — what the system tests stand on: a temporary folder and children that never outlive the test.
 *
 * A group's setup opens a harness, its teardown closes it. Whatever way the test ends, even by SIGKILL, a
 * guardian process notices, stops the Redis nodes and removes the folder; other children get a signal from the
 * kernel. Tests run in the project's top folder. Functions fail the running cmocka test themselves. */
#ifndef SLUICE_TESTS_HARNESS_H
#define SLUICE_TESTS_HARNESS_H

#include <sys/types.h>

#include "tests/support/test_prelude.h"

enum { HARNESS_PATH_BYTES = 128, HARNESS_MAX_CHILDREN = 64, HARNESS_MAX_WORDS = 48 };

struct harness {
    char dir[HARNESS_PATH_BYTES];
    int guardian_fd; /* its closing is the guardian's signal */
    pid_t guardian;
    struct harness_child {
        pid_t pid; /* spawned and not waited for; 0: a free place */
        int death_signal;
    } children[HARNESS_MAX_CHILDREN];
};

/* Heap; the group's teardown must close it. Close ends what still runs, removes the folder, nulls. */
struct harness *harness_open(void);
void harness_close(struct harness **harness);

/* Paths are kept in a buffer of the caller. `harness_program` is a built program: $SLUICE_BUILD/name. */
const char *harness_path(const struct harness *harness, const char *name, char path[HARNESS_PATH_BYTES]);
const char *harness_program(const char *name, char path[HARNESS_PATH_BYTES]);
/* Exchanges $SLUICE_BUILD and $SLUICE_PLAIN_BUILD: programs are those without sanitizers, which take no time and do not
 * mix with valgrind, until it is called again. */
void harness_swap_builds(void);
/* Writes a file into the folder and returns its path. */
const char *harness_write(const struct harness *harness, const char *name, const char *text,
                          char path[HARNESS_PATH_BYTES]);
/* Reads a file as text, cut to fit; an absent one reads as "". */
void harness_read(const char *path, char *text, size_t cap);

/* Appends a list of words that ends in NULL, or none for NULL, to the first n of a command; returns how many it has then.
 * The one after them is NULL. */
size_t harness_append_words(const char *command[HARNESS_MAX_WORDS], size_t n, const char *const words[]);

/* Starts a program that gets `death_signal` when the test dies. Its output goes to the files given; variables
 * SLUICE_... of the test's own environment are kept from it. */
pid_t harness_spawn(struct harness *harness, const char *const argv[], const char *out_path,
                    const char *err_path, int death_signal);
/* Forks the test itself; the same care is taken. Returns 0 in the child, which must end with _exit. */
pid_t harness_fork(struct harness *harness, int death_signal);
/* Waits for a child; returns its exit code, 128 + N if signal N ended it, -1 if it runs beyond the limit. */
int harness_wait(struct harness *harness, pid_t pid, int64_t limit_ms);
void harness_kill(struct harness *harness, pid_t pid);

struct run {
    int exit_code;
    char out[64 * 1024]; /* what it wrote, as text, cut to fit */
    char err[16 * 1024];
};

/* Runs a program to its end. Fails the test if that takes longer than the limit. */
void harness_run(struct harness *harness, struct run *run, int limit_s, const char *const argv[]);
#define HARNESS_RUN(harness, run, limit_s, ...)                                                                \
    harness_run(harness, run, limit_s, (const char *const[]){__VA_ARGS__, NULL})

/* The same for a program of this tree, by its name. */
#define HARNESS_RUN_OURS(harness, run, limit_s, name, ...)                                                     \
    harness_run(                                                                                               \
        harness, run, limit_s,                                                                                 \
        (const char *const[]){harness_program(name, (char[HARNESS_PATH_BYTES]){0}), __VA_ARGS__, NULL})

/* Fails the test, showing `text`, unless it contains `part`. */
void assert_contains(const char *text, const char *part);

int64_t harness_now_us(void); /* monotonic */
void harness_sleep_ms(int64_t ms);

#endif
