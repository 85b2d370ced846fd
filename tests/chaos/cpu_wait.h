/* cpu_wait.h — how long a thread of another process was ready to run but had no processor.
 *
 * By /proc/PID/task/TID/schedstat. On a busy machine this is the time by which an answer is late through no
 * fault of the program. */
#ifndef SLUICE_TESTS_CHAOS_CPU_WAIT_H
#define SLUICE_TESTS_CHAOS_CPU_WAIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct cpu_wait {
    int fd; /* -1: the kernel does not tell */
};

/* Of the thread that the process started last: in a frontend with one worker, that one. */
void cpu_wait_open(struct cpu_wait *wait, pid_t pid);
void cpu_wait_close(struct cpu_wait *wait);

/* Since the thread began; 0 when the kernel does not tell. */
int64_t cpu_wait_us(const struct cpu_wait *wait);

#endif
