/* example_sync.c — asks a frontend once and waits for the answer.
 *
 *   build/example_sync [HOST:PORT]     (made by `make`)
 *
 * Outside this tree include <sluice.h>, and:
 *
 *   cc example_sync.c $(pkg-config --cflags --libs sluice) && ./a.out [HOST:PORT] */
#include <inttypes.h>
#include <stdio.h>

#include "client/sluice.h"

int main(int argc, char **argv) {
    const char *server = argc > 1 ? argv[1] : SLUICE_DEFAULT_SERVER;
    struct sluice_options options = {.servers = &server, .n_servers = 1, .timeout_ms = 500};
    char message[SLUICE_MESSAGE_BYTES];

    struct sluice_client *client = sluice_open(&options, message, sizeof message);
    if (client == NULL) {
        fprintf(stderr, "example_sync: %s\n", message);
        return 2;
    }
    struct sluice_check check = sluice_check_of("demo", "hello", "alice");
    struct sluice_decision decision;
    enum sluice_status status = sluice_check(client, &check, &decision);
    sluice_close(&client);

    if (status != SLUICE_OK) {
        fprintf(stderr, "example_sync: %s: %s\n", sluice_status_text(status), decision.message);
        return 2;
    }
    if (decision.allowed) {
        printf("go ahead, %" PRIu64 " of %" PRIu64 " left\n", decision.remaining, decision.limit);
    } else {
        printf("not now, try again in %" PRIu64 " ms\n", decision.retry_after_us / 1000 + 1);
    }
    return 0;
}
