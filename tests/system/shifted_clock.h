/* shifted_clock.h — a wall clock of their own for the Redis nodes that a test starts; ours stays as it is.
 *
 * The nodes read how far theirs is off from a file in the harness' folder; tests/chaos/preload has the other side. */
#ifndef SLUICE_TESTS_SHIFTED_CLOCK_H
#define SLUICE_TESTS_SHIFTED_CLOCK_H

#include "tests/system/harness.h"

struct shifted_clock {
    char file[HARNESS_PATH_BYTES];
    char preload_word[HARNESS_PATH_BYTES + 32], file_word[HARNESS_PATH_BYTES + 32];
    const char *wrapper[4]; /* the words to put before the program that starts the nodes; ends in NULL */
};

/* Nothing is to be closed: the file goes with the folder. */
void shifted_clock_open(const struct harness *harness, struct shifted_clock *clock, int64_t offset_s);
/* At any time; all nodes see it at once. */
void shifted_clock_set(const struct shifted_clock *clock, int64_t offset_s);

#endif
