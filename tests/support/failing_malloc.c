/* failing_malloc.c — allocations that fail when told; see failing_malloc.h. */
#include "tests/support/failing_malloc.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ALLOCATIONS = 3000 }; /* of a run; a path with more does not end, or should be cut in two */

/* One for each thread, since allocations have no argument to carry it in. */
static _Thread_local struct {
    bool is_counting;
    bool is_lasting;        /* all behind the first failing one fail as well */
    unsigned first_failing; /* 0: none */
    unsigned n_counted, n_failed;
} failing;

void *__real_malloc(size_t n_bytes);
void *__real_calloc(size_t n, size_t n_bytes);
void *__real_realloc(void *old, size_t n_bytes);
void *__real_reallocarray(void *old, size_t n, size_t n_bytes);
void *__real_aligned_alloc(size_t alignment, size_t n_bytes);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t n_bytes);
void *__wrap_calloc(size_t n, size_t n_bytes);
void *__wrap_realloc(void *old, size_t n_bytes);
void *__wrap_reallocarray(void *old, size_t n, size_t n_bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t n_bytes);
char *__wrap_strdup(const char *text);
int __lsan_do_recoverable_leak_check(void) __attribute__((weak));

static bool fails(void) {
    if (!failing.is_counting) {
        return false;
    }
    failing.n_counted++;
    bool is_hit =
        failing.first_failing > 0 && (failing.is_lasting ? failing.n_counted >= failing.first_failing
                                                         : failing.n_counted == failing.first_failing);
    if (is_hit) {
        failing.n_failed++;
        errno = ENOMEM;
    }
    return is_hit;
}

void *__wrap_malloc(size_t n_bytes) {
    return fails() ? NULL : __real_malloc(n_bytes);
}

void *__wrap_calloc(size_t n, size_t n_bytes) {
    return fails() ? NULL : __real_calloc(n, n_bytes);
}

void *__wrap_realloc(void *old, size_t n_bytes) {
    return fails() ? NULL : __real_realloc(old, n_bytes);
}

void *__wrap_reallocarray(void *old, size_t n, size_t n_bytes) {
    return fails() ? NULL : __real_reallocarray(old, n, n_bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t n_bytes) {
    return fails() ? NULL : __real_aligned_alloc(alignment, n_bytes);
}

char *__wrap_strdup(const char *text) {
    return fails() ? NULL : __real_strdup(text);
}

static void must(bool is_true, const char *what) {
    if (!is_true) {
        fprintf(stderr, "failing_malloc: %s; %s allocation %u failed, %u counted\n", what,
                failing.is_lasting ? "from the first on," : "alone,", failing.first_failing, failing.n_counted);
        abort();
    }
}

void failing_malloc_begin(void) {
    failing.is_counting = true;
}

void failing_malloc_end(void) {
    failing.is_counting = false;
}

bool failing_malloc_has_failed(void) {
    return failing.n_failed > 0;
}

void failing_malloc_relieve(void) {
    failing.first_failing = 0;
}

/* Runs once with allocation `first_failing` failing; 0: none. Returns whether one did. */
static bool run(failing_path_fn path, void *arg, unsigned first_failing, bool is_lasting) {
    failing.first_failing = first_failing;
    failing.is_lasting = is_lasting;
    failing.n_counted = failing.n_failed = 0;
    bool has_succeeded = path(arg);
    must(!failing.is_counting, "begin without end");
    must(has_succeeded || failing.n_failed > 0, "the path fails with all its memory");
    return failing.n_failed > 0;
}

static void sweep(failing_path_fn path, void *arg, unsigned n_least, bool is_lasting) {
    unsigned nth = 1;
    while (run(path, arg, nth, is_lasting)) {
        run(path, arg, 0, false);
        nth++;
        must(nth <= MAX_ALLOCATIONS, "no end of allocations");
    }
    failing.first_failing = nth;
    must(nth > n_least, "too few allocations were reached");
}

void failing_malloc_sweep(failing_path_fn path, void *arg, unsigned n_least) {
    sweep(path, arg, n_least, false);
    sweep(path, arg, n_least, true);
    must(__lsan_do_recoverable_leak_check == NULL || __lsan_do_recoverable_leak_check() == 0, "memory leaks");
}
