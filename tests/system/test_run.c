/* test_run.c — `make run` as a newcomer meets it: what it prints works, and it leaves nothing behind. */
#include "tests/system/frontend.h"

#include <ctype.h>
#include <dirent.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

enum { START_LIMIT_S = 60, END_LIMIT_S = 30, MAX_PORTS = 16, TEXT_BYTES = 16 * 1024 };

struct world {
    struct harness *harness;
    char build[HARNESS_PATH_BYTES], out_path[HARNESS_PATH_BYTES], err_path[HARNESS_PATH_BYTES];
};

static int open_world(void **state) {
    struct world *world = calloc(1, sizeof *world);
    assert_non_null(world);
    *state = world;
    world->harness = harness_open();
    const char *build = getenv("SLUICE_BUILD");
    snprintf(world->build, sizeof world->build, "%s", build != NULL ? build : "build");
    harness_path(world->harness, "run-sh.out", world->out_path);
    harness_path(world->harness, "run-sh.err", world->err_path);
    return 0;
}

static int close_world(void **state) {
    struct world *world = *state;
    harness_close(&world->harness);
    free(world);
    return 0;
}

/* What run.sh has told. */
struct told {
    char text[TEXT_BYTES];
    char dir[HARNESS_PATH_BYTES];
    unsigned ports[MAX_PORTS]; /* every one that it named as its own */
    size_t n_ports;
};

static pid_t start_run(struct world *world, const char *setting) {
    const char *const argv[] = {"env", setting, "deploy/run.sh", world->build, NULL};
    return harness_spawn(world->harness, argv, world->out_path, world->err_path, SIGTERM);
}

/* Takes up all "127.0.0.1:PORT" between the word that begins the list of addresses and the commands to try. */
static void read_ports(struct told *told) {
    static const char host[] = "127.0.0.1:";
    const char *end = strstr(told->text, "\nTry");
    assert_non_null(end);
    const char *at = strstr(told->text, "Sluice runs");
    assert_non_null(at);
    while ((at = strstr(at, host)) != NULL && at < end) {
        at += sizeof host - 1;
        assert_true(told->n_ports < MAX_PORTS);
        told->ports[told->n_ports++] = (unsigned)strtoul(at, NULL, 10);
    }
    const char *logs = strstr(told->text, "  logs ");
    assert_non_null(logs);
    assert_int_equal(sscanf(logs, " logs %127s", told->dir), 1);
}

static void await_start(struct world *world, pid_t pid, struct told *told) {
    memset(told, 0, sizeof *told);
    int64_t deadline_us = harness_now_us() + START_LIMIT_S * INT64_C(1000000);
    while (strstr(told->text, "Ctrl-C") == NULL) {
        if (harness_wait(world->harness, pid, 20) >= 0 || harness_now_us() > deadline_us) {
            char err[4096];
            harness_read(world->err_path, err, sizeof err);
            fail_msg("run.sh does not start: %s%s", told->text, err);
        }
        harness_read(world->out_path, told->text, sizeof told->text);
    }
    read_ports(told);
    assert_int_equal(told->n_ports, 2 * 2 + 6);
}

/* Looks for a process whose command line contains both texts; 0 when there is none. */
static pid_t find_process(const char *part, const char *other_part) {
    DIR *dir = opendir("/proc");
    assert_non_null(dir);
    pid_t found = 0;
    for (const struct dirent *entry; found == 0 && (entry = readdir(dir)) != NULL;) {
        if (!isdigit((unsigned char)entry->d_name[0])) {
            continue;
        }
        char path[64], line[4096];
        snprintf(path, sizeof path, "/proc/%.20s/cmdline", entry->d_name);
        FILE *file = fopen(path, "r");
        size_t n = file != NULL ? fread(line, 1, sizeof line - 1, file) : 0;
        if (file != NULL) {
            fclose(file);
        }
        for (size_t i = 0; i < n; i++) {
            line[i] = (char)(line[i] == '\0' ? ' ' : line[i]);
        }
        line[n] = '\0';
        if (strstr(line, part) != NULL && strstr(line, other_part) != NULL) {
            found = (pid_t)strtol(entry->d_name, NULL, 10);
        }
    }
    closedir(dir);
    return found;
}

static void assert_nothing_is_left(const struct told *told) {
    assert_int_not_equal(access(told->dir, F_OK), 0);
    assert_int_equal(find_process(told->dir, ""), 0);
    for (size_t i = 0; i < told->n_ports; i++) {
        assert_int_equal(connect_to((uint16_t)told->ports[i]), -1);
    }
    for (size_t i = 0; i < 2; i++) {
        char address[32];
        snprintf(address, sizeof address, "127.0.0.1:%u", told->ports[2 * i]);
        assert_int_equal(find_process("sluiced", address), 0);
    }
}

/* Runs each command printed after "Try", with a real log in the place of ACCESS_LOG. */
static void try_commands(struct world *world, struct told *told) {
    size_t n_tried = 0;
    char *rest = NULL;
    char *from = strstr(told->text, "\nTry") + 1;
    strtok_r(from, "\n", &rest);
    for (char *line; (line = strtok_r(NULL, "\n", &rest)) != NULL && strncmp(line, "  ", 2) == 0; n_tried++) {
        char command[1024];
        snprintf(command, sizeof command, "ACCESS_LOG=tests/fixtures/access_small.log; %s", line);
        char *name = strstr(command + 1, "ACCESS_LOG ");
        if (name != NULL) { /* the shell puts the file in */
            memmove(name + 1, name, strlen(name) + 1);
            *name = '$';
        }
        struct run run;
        HARNESS_RUN(world->harness, &run, END_LIMIT_S, "bash", "-c", command);
        if (run.exit_code != 0) {
            fail_msg("%s: exit code %d: %s%s", line, run.exit_code, run.out, run.err);
        }
        assert_string_not_equal(run.out, "");
    }
    assert_int_equal(n_tried, 5);
}

/* Takes the first port that run.sh would, unless somebody else has it. */
static int occupy_first_port(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(7380)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (const struct sockaddr *)&at, sizeof at) == 0) {
        assert_int_equal(listen(fd, 8), 0);
    }
    return fd;
}

static void test_commands_work_and_ctrl_c_leaves_nothing(void **state) {
    struct world *world = *state;
    struct told told;
    int fd = occupy_first_port();
    pid_t pid = start_run(world, "LC_ALL=C");
    await_start(world, pid, &told);
    close(fd);
    assert_contains(told.text, "port 7380 or 7381 is taken");
    assert_int_not_equal(told.ports[0], 7380);
    try_commands(world, &told);
    kill(pid, SIGINT);
    assert_int_equal(harness_wait(world->harness, pid, END_LIMIT_S * 1000), 0);
    assert_nothing_is_left(&told);
}

static void await_text(const char *path, const char *part) {
    char text[TEXT_BYTES];
    int64_t deadline_us = harness_now_us() + START_LIMIT_S * INT64_C(1000000);
    do {
        harness_read(path, text, sizeof text);
        harness_sleep_ms(20);
    } while (strstr(text, part) == NULL && harness_now_us() < deadline_us);
    assert_contains(text, part);
}

static void test_deaths_are_told_and_the_last_frontend_ends_it(void **state) {
    struct world *world = *state;
    struct told told;
    pid_t pid = start_run(world, "LC_ALL=C");
    await_start(world, pid, &told);
    char address[32], expected[64];
    pid_t node = find_process("redis-server", told.dir);
    assert_true(node > 0);
    kill(node, SIGKILL);
    await_text(world->out_path, "redis node 127.0.0.1:");
    for (size_t i = 0; i < 2; i++) {
        snprintf(address, sizeof address, "127.0.0.1:%u", told.ports[2 * i]);
        pid_t frontend = find_process("sluiced", address);
        assert_true(frontend > 0);
        kill(frontend, SIGKILL);
        snprintf(expected, sizeof expected, "frontend-%zu died", i + 1);
        await_text(world->out_path, expected);
    }
    assert_int_equal(harness_wait(world->harness, pid, END_LIMIT_S * 1000), 2);
    assert_nothing_is_left(&told);
}

static void test_it_can_end_by_itself(void **state) {
    struct world *world = *state;
    struct told told;
    pid_t pid = start_run(world, "SLUICE_RUN_SECONDS=1");
    await_start(world, pid, &told);
    assert_int_equal(harness_wait(world->harness, pid, END_LIMIT_S * 1000), 0);
    assert_nothing_is_left(&told);
}

static void test_failed_start_shows_why_and_leaves_nothing(void **state) {
    struct world *world = *state;
    char path[HARNESS_PATH_BYTES], setting[HARNESS_PATH_BYTES + 32], own_tmp[HARNESS_PATH_BYTES];
    harness_write(world->harness, "bad.yaml", "tenants: 5\n", path);
    snprintf(setting, sizeof setting, "SLUICE_QUOTAS=%s", path);
    harness_path(world->harness, "tmp", own_tmp);
    struct run run;
    HARNESS_RUN(world->harness, &run, 10, "mkdir", own_tmp);
    char tmp_setting[HARNESS_PATH_BYTES + 32];
    snprintf(tmp_setting, sizeof tmp_setting, "TMPDIR=%s", own_tmp);
    HARNESS_RUN(world->harness, &run, START_LIMIT_S, "env", setting, tmp_setting, "deploy/run.sh",
                world->build);
    assert_int_equal(run.exit_code, 2);
    assert_contains(run.err, "bad.yaml:1: ");
    assert_int_equal(find_process(own_tmp, ""), 0);
    HARNESS_RUN(world->harness, &run, 10, "rmdir", own_tmp); /* only an empty one goes */
    assert_int_equal(run.exit_code, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands_work_and_ctrl_c_leaves_nothing),
        cmocka_unit_test(test_deaths_are_told_and_the_last_frontend_ends_it),
        cmocka_unit_test(test_it_can_end_by_itself),
        cmocka_unit_test(test_failed_start_shows_why_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
