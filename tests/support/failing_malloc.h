/* failing_malloc.h — the 1st, 2nd, 3rd … allocation fails, in what a test runs while it says so.
 *
 * Only for tests that the Makefile links with --wrap for malloc and its kin (ALLOCATION_TESTS): the product,
 * libyaml and hiredis are hit; libc's own calls, libev (which ends the program by design) and the other shared
 * libraries are not. Each thread counts for itself; failures inside end the test. */
#ifndef SLUICE_TESTS_SUPPORT_FAILING_MALLOC_H
#define SLUICE_TESTS_SUPPORT_FAILING_MALLOC_H

#include <stdbool.h>

/* What is swept. Returns whether it did all that it should. Short of memory it may say no, in the way that its
 * header promises, which it asserts itself; it frees all that it made, in either case. */
typedef bool (*failing_path_fn)(void *arg);

/* Runs `path` again and again: first the 1st allocation alone fails, then the 2nd, and so on until none of them
 * is reached; then the 1st and all behind it, the 2nd and all behind it … A run without a failure must succeed,
 * and so must one after each failure; at least `n_least` allocations must have been reached, and nothing may be
 * left behind (as LeakSanitizer sees it, where it is there). */
void failing_malloc_sweep(failing_path_fn path, void *arg, unsigned n_least);

/* For `path`: only what is allocated between these two counts and may fail. */
void failing_malloc_begin(void);
void failing_malloc_end(void);
/* Whether an allocation has failed in this run. */
bool failing_malloc_has_failed(void);
/* Memory is there again for the rest of this run. */
void failing_malloc_relieve(void);

#endif
