/* fake_names.h — a name service that says what a test tells it to: for resolver_create in place of the system's.
 *
 * It is one for the whole program, since a resolve function has no argument; each test begins with a reset, when
 * no lookup may be under way. Any thread. */
#ifndef SLUICE_TESTS_SUPPORT_FAKE_NAMES_H
#define SLUICE_TESTS_SUPPORT_FAKE_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "server/store/node_addr.h"

/* Forgets all names, counts and holds. */
void fake_names_reset(void);
/* The addresses of `host`, "127.0.0.1,127.0.0.2"; "", as for every other host, is none. */
void fake_names_set(const char *host, const char *numbers);
/* While held, lookups of `host` hang. */
void fake_names_hold(const char *host, bool is_held);
/* Lookups of `host` begun so far; those of any host that hang or have not returned yet. */
unsigned fake_names_count(const char *host);
unsigned fake_names_count_inside(void);

/* See node_addr_resolve; its problem is "no such name". */
uint32_t fake_names_resolve(const struct node_addr *addr, struct sockaddr_storage *found, uint32_t cap,
                            const char **problem);

#endif
