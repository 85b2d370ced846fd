/* example_async.c — asks a hundred times at once from a libev loop, and sums up the answers.
 *
 *   build/example_async [HOST:PORT]     (made by `make`)
 *
 * Outside this tree include <sluice.h>, and:
 *
 *   cc example_async.c $(pkg-config --cflags --libs sluice) -lev && ./a.out [HOST:PORT] */
#include <ev.h>
#include <stdio.h>

#include "client/sluice.h"

enum { N_CHECKS = 100 };

struct summary {
    struct ev_loop *loop;
    int n_allowed, n_denied, n_failed, n_left;
    char message[SLUICE_MESSAGE_BYTES]; /* of the last failure */
};

static void count_answer(void *arg, enum sluice_status status, const char *message,
                         const struct sluice_decision *decisions, size_t n_decisions) {
    struct summary *summary = arg;
    (void)n_decisions; /* 1, for a single check */
    if (status != SLUICE_OK) {
        summary->n_failed++;
        snprintf(summary->message, sizeof summary->message, "%s: %s", sluice_status_text(status), message);
    } else if (decisions[0].allowed) {
        summary->n_allowed++;
    } else {
        summary->n_denied++;
    }
    if (--summary->n_left == 0) {
        ev_break(summary->loop, EVBREAK_ONE);
    }
}

int main(int argc, char **argv) {
    const char *server = argc > 1 ? argv[1] : SLUICE_DEFAULT_SERVER;
    struct sluice_options options = {.servers = &server, .n_servers = 1, .timeout_ms = 500};
    struct summary summary = {.loop = EV_DEFAULT};
    char message[SLUICE_MESSAGE_BYTES];

    struct sluice_client *client = sluice_attach(summary.loop, &options, message, sizeof message);
    if (client == NULL) {
        fprintf(stderr, "example_async: %s\n", message);
        return 2;
    }
    for (int i = 0; i < N_CHECKS; i++) {
        char user[32];
        snprintf(user, sizeof user, "user-%d", i % 10);
        struct sluice_check check = sluice_check_of("demo", "hello", user);
        if (sluice_check_async(client, &check, count_answer, &summary)) {
            summary.n_left++;
        }
    }
    if (summary.n_left > 0) {
        ev_run(summary.loop, 0);
    }
    sluice_close(&client);

    printf("%d allowed, %d denied, %d failed\n", summary.n_allowed, summary.n_denied, summary.n_failed);
    if (summary.n_allowed + summary.n_denied < N_CHECKS) {
        fprintf(stderr, "example_async: not every check was answered: %s\n", summary.message);
        return 2;
    }
    return 0;
}
