/* shifted_clock.c — preloaded into a redis-server: its wall clock is off by as much as a file says.
 *
 * The file that $SHIFTED_CLOCK names holds one int64_t, seconds, and may change at any time. Only gettimeofday
 * is shifted: Redis takes all its wall times from there, TIME among them. (libfaketime would do, but it cannot
 * start a program that is linked with jemalloc.) */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *offset_s; /* a preloaded library has no other place for it */

__attribute__((constructor)) static void map_offset(void) {
    const char *path = getenv("SHIFTED_CLOCK");
    int fd = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *mapped = fd >= 0 ? mmap(NULL, sizeof *offset_s, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (mapped == MAP_FAILED) {
        abort();
    }
    offset_s = mapped;
    close(fd);
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec real;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &real) != 0) {
        return -1;
    }
    now->tv_sec = real.tv_sec + (offset_s != NULL ? *offset_s : 0);
    now->tv_usec = real.tv_nsec / 1000;
    return 0;
}
