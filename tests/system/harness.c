/* harness.c — a temporary folder and children that never outlive the test. */
#include "tests/system/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { END_LIMIT_MS = 15000 };

int64_t harness_now_us(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void harness_sleep_ms(int64_t ms) {
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

/* A shell that waits for the end of its input, which comes when the test closes the pipe or dies. */
static void start_guardian(struct harness *harness) {
    static const char *const script =
        "trap '' HUP INT TERM; read -r _; "
        "deploy/cluster/cluster.sh stop \"$0/cluster\" 2>/dev/null; rm -rf \"$0\"";
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    harness->guardian = fork();
    assert_true(harness->guardian >= 0);
    if (harness->guardian == 0) {
        setsid();
        dup2(ends[0], STDIN_FILENO);
        execl("/bin/bash", "bash", "-c", script, harness->dir, (char *)NULL);
        _exit(127);
    }
    close(ends[0]);
    harness->guardian_fd = ends[1];
}

struct harness *harness_open(void) {
    struct harness *harness = calloc(1, sizeof *harness);
    assert_non_null(harness);
    snprintf(harness->dir, sizeof harness->dir, "/tmp/sluice-test.XXXXXX");
    assert_non_null(mkdtemp(harness->dir));
    start_guardian(harness);
    signal(SIGPIPE, SIG_IGN);
    return harness;
}

/* By its own signal first, so that a script can clean up. */
static void end_child(struct harness *harness, const struct harness_child *child) {
    pid_t pid = child->pid;
    if (pid != 0 && (kill(pid, child->death_signal) != 0 || harness_wait(harness, pid, END_LIMIT_MS) < 0)) {
        harness_kill(harness, pid);
    }
}

void harness_close(struct harness **harness) {
    if (*harness == NULL) {
        return;
    }
    for (size_t i = 0; i < HARNESS_MAX_CHILDREN; i++) {
        end_child(*harness, &(*harness)->children[i]);
    }
    close((*harness)->guardian_fd);
    waitpid((*harness)->guardian, NULL, 0);
    free(*harness);
    *harness = NULL;
}

const char *harness_path(const struct harness *harness, const char *name, char path[HARNESS_PATH_BYTES]) {
    int n = snprintf(path, HARNESS_PATH_BYTES, "%s/%s", harness->dir, name);
    assert_in_range(n, 1, HARNESS_PATH_BYTES - 1);
    return path;
}

/* Where the build lies that a variable names. */
static const char *build_of(const char *variable) {
    const char *build = getenv(variable);
    return build != NULL ? build : "build";
}

const char *harness_program(const char *name, char path[HARNESS_PATH_BYTES]) {
    int n = snprintf(path, HARNESS_PATH_BYTES, "%s/%s", build_of("SLUICE_BUILD"), name);
    assert_in_range(n, 1, HARNESS_PATH_BYTES - 1);
    return path;
}

void harness_swap_builds(void) {
    char build[HARNESS_PATH_BYTES];
    snprintf(build, sizeof build, "%s", build_of("SLUICE_BUILD"));
    setenv("SLUICE_BUILD", build_of("SLUICE_PLAIN_BUILD"), 1);
    setenv("SLUICE_PLAIN_BUILD", build, 1);
}

const char *harness_write(const struct harness *harness, const char *name, const char *text,
                          char path[HARNESS_PATH_BYTES]) {
    FILE *file = fopen(harness_path(harness, name, path), "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    return path;
}

void harness_read(const char *path, char *text, size_t cap) {
    text[0] = '\0';
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return;
    }
    text[fread(text, 1, cap - 1, file)] = '\0';
    fclose(file);
}

size_t harness_append_words(const char *command[HARNESS_MAX_WORDS], size_t n, const char *const words[]) {
    for (size_t i = 0; words != NULL && words[i] != NULL; i++) {
        assert_true(n + 1 < HARNESS_MAX_WORDS);
        command[n++] = words[i];
    }
    command[n] = NULL;
    return n;
}

pid_t harness_fork(struct harness *harness, int death_signal) {
    size_t place = 0;
    while (place < HARNESS_MAX_CHILDREN && harness->children[place].pid != 0) {
        place++;
    }
    assert_true(place < HARNESS_MAX_CHILDREN);
    pid_t parent = getpid();
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, death_signal);
        if (getppid() != parent) {
            _exit(127); /* the test died before the kernel knew of our wish */
        }
        return 0;
    }
    harness->children[place] = (struct harness_child){.pid = pid, .death_signal = death_signal};
    return pid;
}

static void unset_sluice_variables(void) {
    static const char prefix[] = "SLUICE_";
    for (size_t i = 0; environ[i] != NULL;) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(environ[i], "="), environ[i]);
        if (strncmp(name, prefix, sizeof prefix - 1) != 0 || unsetenv(name) != 0) {
            i++;
        }
    }
}

pid_t harness_spawn(struct harness *harness, const char *const argv[], const char *out_path,
                    const char *err_path, int death_signal) {
    pid_t pid = harness_fork(harness, death_signal);
    if (pid != 0) {
        return pid;
    }
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL); /* a shell that runs the test in the background had it ignored */
    unset_sluice_variables();
    int in = open("/dev/null", O_RDONLY);
    int out = open(out_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    int err = open(err_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (in < 0 || out < 0 || err < 0 || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
        dup2(err, STDERR_FILENO) < 0) {
        _exit(126);
    }
    close_range(STDERR_FILENO + 1, ~0U, 0);
    /* exec takes char *const[], but changes nothing. */
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static void forget_child(struct harness *harness, pid_t pid) {
    for (size_t i = 0; i < HARNESS_MAX_CHILDREN; i++) {
        if (harness->children[i].pid == pid) {
            harness->children[i].pid = 0;
        }
    }
}

int harness_wait(struct harness *harness, pid_t pid, int64_t limit_ms) {
    int64_t deadline_us = harness_now_us() + limit_ms * 1000;
    for (;;) {
        int how = 0;
        if (waitpid(pid, &how, WNOHANG) == pid) {
            forget_child(harness, pid);
            return WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
        }
        if (harness_now_us() >= deadline_us) {
            return -1;
        }
        harness_sleep_ms(2);
    }
}

void harness_kill(struct harness *harness, pid_t pid) {
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    forget_child(harness, pid);
}

void harness_run(struct harness *harness, struct run *run, int limit_s, const char *const argv[]) {
    char out_path[HARNESS_PATH_BYTES], err_path[HARNESS_PATH_BYTES];
    harness_path(harness, "run.out", out_path);
    harness_path(harness, "run.err", err_path);
    pid_t pid = harness_spawn(harness, argv, out_path, err_path, SIGTERM);
    run->exit_code = harness_wait(harness, pid, (int64_t)limit_s * 1000);
    if (run->exit_code < 0) {
        harness_kill(harness, pid);
    }
    harness_read(out_path, run->out, sizeof run->out);
    harness_read(err_path, run->err, sizeof run->err);
    if (run->exit_code < 0) {
        fail_msg("%s %s: still running after %d s; it wrote: %s%s", argv[0], argv[1] != NULL ? argv[1] : "",
                 limit_s, run->out, run->err);
    }
}

void assert_contains(const char *text, const char *part) {
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" is not in: %s", part, text);
    }
}
