/* fake_names.c — a scripted name service for tests; see fake_names.h. */
#include "tests/support/fake_names.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NAMES = 16, TEXT_BYTES = 128 };

struct name {
    char host[TEXT_BYTES], numbers[TEXT_BYTES];
    bool is_held;
    unsigned n_begun;
};

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct name names[MAX_NAMES];
    unsigned n_names, n_inside;
} service = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

/* With the lock held. */
static struct name *name_of(const char *host) {
    for (unsigned i = 0; i < service.n_names; i++) {
        if (strcmp(service.names[i].host, host) == 0) {
            return &service.names[i];
        }
    }
    if (service.n_names == MAX_NAMES) {
        fprintf(stderr, "fake_names: too many names\n");
        abort();
    }
    struct name *name = &service.names[service.n_names++];
    *name = (struct name){.n_begun = 0};
    snprintf(name->host, sizeof name->host, "%s", host);
    return name;
}

void fake_names_reset(void) {
    pthread_mutex_lock(&service.lock);
    service.n_names = 0;
    pthread_mutex_unlock(&service.lock);
}

void fake_names_set(const char *host, const char *numbers) {
    pthread_mutex_lock(&service.lock);
    struct name *name = name_of(host);
    snprintf(name->numbers, sizeof name->numbers, "%s", numbers);
    pthread_mutex_unlock(&service.lock);
}

void fake_names_hold(const char *host, bool is_held) {
    pthread_mutex_lock(&service.lock);
    name_of(host)->is_held = is_held;
    pthread_cond_broadcast(&service.changed);
    pthread_mutex_unlock(&service.lock);
}

unsigned fake_names_count(const char *host) {
    pthread_mutex_lock(&service.lock);
    unsigned n = name_of(host)->n_begun;
    pthread_mutex_unlock(&service.lock);
    return n;
}

unsigned fake_names_count_inside(void) {
    pthread_mutex_lock(&service.lock);
    unsigned n = service.n_inside;
    pthread_mutex_unlock(&service.lock);
    return n;
}

static uint32_t read_numbers(const char *numbers, uint16_t port, struct sockaddr_storage *found, uint32_t cap) {
    char text[TEXT_BYTES];
    snprintf(text, sizeof text, "%s", numbers);
    uint32_t n = 0;
    char *rest;
    for (char *one = strtok_r(text, ",", &rest); one != NULL && n < cap; one = strtok_r(NULL, ",", &rest)) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
        inet_pton(AF_INET, one, &address.sin_addr);
        memset(&found[n], 0, sizeof found[n]);
        memcpy(&found[n++], &address, sizeof address);
    }
    return n;
}

uint32_t fake_names_resolve(const struct node_addr *addr, struct sockaddr_storage *found, uint32_t cap,
                            const char **problem) {
    pthread_mutex_lock(&service.lock);
    struct name *name = name_of(addr->host);
    name->n_begun++;
    service.n_inside++;
    while (name->is_held) {
        pthread_cond_wait(&service.changed, &service.lock);
    }
    uint32_t n = read_numbers(name->numbers, addr->port, found, cap);
    service.n_inside--;
    pthread_mutex_unlock(&service.lock);
    *problem = "no such name";
    return n;
}
