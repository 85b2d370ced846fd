/* cpu_wait.c — how long a thread waited for a processor; see cpu_wait.h. */
#include "tests/chaos/cpu_wait.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static pid_t last_thread(pid_t pid) {
    char path[64];
    pid_t last = pid;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    for (struct dirent *entry; tasks != NULL && (entry = readdir(tasks)) != NULL;) {
        pid_t task = (pid_t)strtol(entry->d_name, NULL, 10);
        last = task > last ? task : last;
    }
    if (tasks != NULL) {
        closedir(tasks);
    }
    return last;
}

void cpu_wait_open(struct cpu_wait *wait, pid_t pid) {
    char path[96];
    snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", (int)pid, (int)last_thread(pid));
    wait->fd = open(path, O_RDONLY | O_CLOEXEC);
}

void cpu_wait_close(struct cpu_wait *wait) {
    if (wait->fd >= 0) {
        close(wait->fd);
    }
    wait->fd = -1;
}

/* The file holds: nanoseconds on a processor, nanoseconds waiting for one, times it got one. */
int64_t cpu_wait_us(const struct cpu_wait *wait) {
    char text[96];
    ssize_t n = wait->fd >= 0 ? pread(wait->fd, text, sizeof text - 1, 0) : -1;
    if (n <= 0) {
        return 0;
    }
    text[n] = '\0';
    char *after_running;
    strtoll(text, &after_running, 10);
    return strtoll(after_running, NULL, 10) / 1000;
}
