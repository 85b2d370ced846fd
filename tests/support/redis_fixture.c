/* redis_fixture.c — starts and stops a redis-server; writes and reads RESP; see redis_fixture.h. */
#include "tests/support/redis_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    START_ATTEMPTS = 5,
    READY_ATTEMPTS = 500,
    READY_PAUSE_MS = 10,
    MAX_ARGS = 8,
    MAX_WORDS = 32,
    READ_BYTES = 64 * 1024
};

struct redis_fixture {
    pid_t pid;
    uint16_t port;
};

static struct sockaddr_in loopback(uint16_t port) {
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A port that was free a moment ago; 0 on failure. */
static uint16_t free_port(void) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;
    uint16_t port = 0;
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 &&
        getsockname(fd, (struct sockaddr *)&address, &len) == 0) {
        port = ntohs(address.sin_port);
    }
    if (fd >= 0) {
        close(fd);
    }
    return port;
}

static size_t append_words(const char *argv[], size_t n, const char *const words[]) {
    for (size_t i = 0; words != NULL && words[i] != NULL && n + 1 < MAX_WORDS; i++) {
        argv[n++] = words[i];
    }
    return n;
}

static void run_server(const struct redis_fixture *fixture, pid_t parent, const char *const wrapper[],
                       const char *const flags[]) {
    char port[8];
    snprintf(port, sizeof port, "%u", fixture->port);
    const char *const own[] = {"redis-server", "--port", port,    "--bind", "127.0.0.1", "--save", "",
                               "--appendonly", "no",     "--dir", "/tmp",   NULL};
    const char *argv[MAX_WORDS];
    size_t n = append_words(argv, 0, wrapper);
    n = append_words(argv, n, own);
    argv[append_words(argv, n, flags)] = NULL;
    int null = open("/dev/null", O_RDWR);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent || null < 0) {
        _exit(127);
    }
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    /* exec takes char *const[], but changes nothing. */
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

void redis_fixture_kill(struct redis_fixture *fixture) {
    if (fixture->pid > 0) {
        kill(fixture->pid, SIGKILL);
        waitpid(fixture->pid, NULL, 0);
        fixture->pid = 0;
    }
}

/* Is it our own server that answers on the port? Another process may have taken it in between. */
static bool answers_as_ours(const struct redis_fixture *fixture) {
    struct redis_link link = {.fd = -1};
    struct redis_answer answer;
    char process_id[32];
    snprintf(process_id, sizeof process_id, "process_id:%d\r\n", (int)fixture->pid);
    bool ours = redis_link_open(&link, fixture->port) &&
                redis_link_call(&link, &answer, "INFO", "server", (char *)NULL) && answer.kind == REDIS_BULK &&
                memmem(answer.text.data, answer.text.len, process_id, strlen(process_id)) != NULL;
    redis_link_close(&link);
    return ours;
}

static bool start_server(struct redis_fixture *fixture, const char *const wrapper[],
                         const char *const flags[]) {
    const struct timespec pause = {.tv_nsec = READY_PAUSE_MS * 1000000L};
    pid_t parent = getpid();
    fixture->pid = fork();
    if (fixture->pid == 0) {
        run_server(fixture, parent, wrapper, flags);
    }
    for (int i = 0; fixture->pid > 0 && i < READY_ATTEMPTS; i++) {
        if (answers_as_ours(fixture)) {
            return true;
        }
        if (waitpid(fixture->pid, NULL, WNOHANG) == fixture->pid) {
            fixture->pid = 0;
        }
        nanosleep(&pause, NULL);
    }
    redis_fixture_kill(fixture);
    return false;
}

bool redis_fixture_start_again(struct redis_fixture *fixture) {
    return start_server(fixture, NULL, NULL);
}

struct redis_fixture *redis_fixture_start(void) {
    return redis_fixture_start_with(NULL, NULL);
}

struct redis_fixture *redis_fixture_start_with(const char *const wrapper[], const char *const flags[]) {
    struct redis_fixture *fixture = calloc(1, sizeof *fixture);
    if (fixture == NULL) {
        return NULL;
    }
    for (int i = 0; i < START_ATTEMPTS; i++) {
        fixture->port = free_port();
        if (start_server(fixture, wrapper, flags)) {
            return fixture;
        }
    }
    fprintf(stderr, "cannot start redis-server: is it installed?\n");
    redis_fixture_stop(&fixture);
    return NULL;
}

void redis_fixture_stop(struct redis_fixture **fixture) {
    if (*fixture != NULL) {
        redis_fixture_kill(*fixture);
        free(*fixture);
    }
    *fixture = NULL;
}

uint16_t redis_fixture_port(const struct redis_fixture *fixture) {
    return fixture->port;
}

pid_t redis_fixture_pid(const struct redis_fixture *fixture) {
    return fixture->pid;
}

bool redis_link_open(struct redis_link *link, uint16_t port) {
    struct sockaddr_in address = loopback(port);
    int on = 1;
    *link = (struct redis_link){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (link->fd < 0 || connect(link->fd, (struct sockaddr *)&address, sizeof address) != 0) {
        redis_link_close(link);
        return false;
    }
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return true;
}

void redis_link_close(struct redis_link *link) {
    if (link->fd >= 0) {
        close(link->fd);
    }
    buf_deinit(&link->out);
    buf_deinit(&link->in);
    *link = (struct redis_link){.fd = -1};
}

static bool append_header(struct buf *out, char sign, size_t number) {
    char text[32];
    int n = snprintf(text, sizeof text, "%c%zu\r\n", sign, number);
    return buf_append(out, text, (size_t)n);
}

bool redis_link_queue(struct redis_link *link, const struct bytes *args, size_t n_args) {
    bool ok = append_header(&link->out, '*', n_args);
    for (size_t i = 0; ok && i < n_args; i++) {
        ok = append_header(&link->out, '$', args[i].len) && buf_append(&link->out, args[i].data, args[i].len) &&
             buf_append(&link->out, "\r\n", 2);
    }
    return ok;
}

bool redis_link_flush(struct redis_link *link) {
    while (buf_len(&link->out) > 0) {
        ssize_t n = send(link->fd, buf_front(&link->out), buf_len(&link->out), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        buf_consume(&link->out, (size_t)n);
    }
    return true;
}

static bool read_more(struct redis_link *link) {
    uint8_t *to = buf_reserve(&link->in, READ_BYTES);
    if (to == NULL) {
        return false;
    }
    ssize_t n;
    do {
        n = recv(link->fd, to, READ_BYTES, 0);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        return false;
    }
    buf_commit(&link->in, (size_t)n);
    return true;
}

/* Parses the answer at the front of `in`. Returns its length in bytes; 0 when more are needed. */
static size_t parse_answer(const struct buf *in, struct redis_answer *answer) {
    static const char signs[] = "+-:$";
    size_t len = buf_len(in);
    if (len == 0) {
        return 0;
    }
    const uint8_t *front = buf_front(in);
    const uint8_t *end = memmem(front, len, "\r\n", 2);
    if (end == NULL) {
        return 0;
    }
    size_t line_bytes = (size_t)(end - front) + 2;
    const char *sign = strchr(signs, front[0]);
    *answer = (struct redis_answer){.kind = REDIS_ERROR, .text = {front + 1, line_bytes - 3}};
    if (sign == NULL) {
        return line_bytes;
    }
    answer->kind = (enum redis_kind)(sign - signs);
    if (front[0] == ':' || front[0] == '$') {
        answer->integer = strtoll((const char *)front + 1, NULL, 10);
    }
    if (front[0] != '$') {
        return line_bytes;
    }
    if (answer->integer < 0) {
        answer->kind = REDIS_NIL;
        return line_bytes;
    }
    answer->text = (struct bytes){front + line_bytes, (size_t)answer->integer};
    size_t total = line_bytes + answer->text.len + 2;
    return total <= len ? total : 0;
}

bool redis_link_read(struct redis_link *link, struct redis_answer *answer) {
    buf_consume(&link->in, link->n_read_bytes);
    link->n_read_bytes = 0;
    while ((link->n_read_bytes = parse_answer(&link->in, answer)) == 0) {
        if (!read_more(link)) {
            return false;
        }
    }
    return true;
}

bool redis_link_call(struct redis_link *link, struct redis_answer *answer, ...) {
    struct bytes args[MAX_ARGS];
    size_t n_args = 0;
    va_list list;
    va_start(list, answer);
    for (const char *arg; n_args < MAX_ARGS && (arg = va_arg(list, const char *)) != NULL; n_args++) {
        args[n_args] = (struct bytes){(const uint8_t *)arg, strlen(arg)};
    }
    va_end(list);
    return redis_link_queue(link, args, n_args) && redis_link_flush(link) && redis_link_read(link, answer);
}

int64_t redis_link_calls_of(struct redis_link *link, const char *command) {
    struct redis_answer answer;
    char wanted[64];
    int n = snprintf(wanted, sizeof wanted, "cmdstat_%s:calls=", command);
    if (!redis_link_call(link, &answer, "INFO", "commandstats", (char *)NULL) || answer.kind != REDIS_BULK) {
        return -1;
    }
    const char *found = memmem(answer.text.data, answer.text.len, wanted, (size_t)n);
    return found != NULL ? strtoll(found + n, NULL, 10) : 0;
}
