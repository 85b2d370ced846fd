/* shifted_clock.c — a wall clock of their own for the Redis nodes that a test starts. */
#include "tests/system/shifted_clock.h"

#include <unistd.h>

void shifted_clock_set(const struct shifted_clock *clock, int64_t offset_s) {
    FILE *file = fopen(clock->file, "r+"); /* the nodes have it mapped: not cut, not replaced */
    if (file == NULL) {
        file = fopen(clock->file, "w");
    }
    assert_non_null(file);
    assert_int_equal(fwrite(&offset_s, sizeof offset_s, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

void shifted_clock_open(const struct harness *harness, struct shifted_clock *clock, int64_t offset_s) {
    char library[HARNESS_PATH_BYTES];
    *clock = (struct shifted_clock){0};
    harness_path(harness, "clock", clock->file);
    shifted_clock_set(clock, offset_s);
    if (access(harness_program("tests/chaos/shifted_clock.so", library), R_OK) != 0) {
        fail_msg("there is no %s; make tests builds it", library);
    }
    snprintf(clock->preload_word, sizeof clock->preload_word, "LD_PRELOAD=%s", library);
    snprintf(clock->file_word, sizeof clock->file_word, "SHIFTED_CLOCK=%s", clock->file);
    clock->wrapper[0] = "env";
    clock->wrapper[1] = clock->preload_word;
    clock->wrapper[2] = clock->file_word;
}
