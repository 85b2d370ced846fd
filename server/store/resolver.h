/* resolver.h — names of hosts become addresses off the loop, where nothing may wait for a DNS server.
 *
 *   ask ─ a lookup of that name, new or under way ─> a thread resolves ─ async ─> answered, on the loop
 *
 * Threads are started when there is something to look up, at most RESOLVER_MAX_THREADS, and end when there is no
 * more. A lookup cannot be stopped, only left alone: whoever asks for the same name and port again joins it,
 * so that a name that hangs holds one thread, and one that is slow is answered in the end. Nothing is cached. All
 * functions are called from the loop's thread; one resolver for each loop. */
#ifndef SLUICE_STORE_RESOLVER_H
#define SLUICE_STORE_RESOLVER_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/base/list.h"
#include "server/store/node_addr.h"

enum { RESOLVER_MAX_ADDRESSES = 4, RESOLVER_MAX_THREADS = 4, RESOLVER_MAX_LOOKUPS = 1000 };

struct resolver;
struct resolver_request;

/* `n_found` addresses, valid until this returns, or 0 and why in `problem`. The request is the owner's again. */
typedef void (*resolver_answered_fn)(struct resolver_request *request, const struct sockaddr_storage *found,
                                     uint32_t n_found, const char *problem);
/* As node_addr_resolve, which is what programs use. Called by several threads at once. */
typedef uint32_t (*resolver_resolve_fn)(const struct node_addr *addr, struct sockaddr_storage *found,
                                        uint32_t cap, const char **problem);

/* The owner's memory. */
struct resolver_request {
    resolver_answered_fn answered;
    struct list in_lookup; /* the resolver's own */
};

/* Borrows `loop`, which must outlive it. NULL when memory is short. */
struct resolver *resolver_create(struct ev_loop *loop, resolver_resolve_fn resolve);
/* Nulls the pointer. Waits for no lookup: a thread that is busy with one frees what it uses when it returns.
 * Requests not yet answered never are. Not to be called from inside an answer. */
void resolver_destroy(struct resolver **resolver);

void resolver_request_init(struct resolver_request *request, resolver_answered_fn answered);
/* True: under way, `answered` is called exactly once, from the loop, never before this returns. False when
 * memory is short, the system gives no thread, or RESOLVER_MAX_LOOKUPS are under way. The request must not be
 * under way; `addr` is copied. */
bool resolver_ask(struct resolver *resolver, const struct node_addr *addr, struct resolver_request *request)
    __attribute__((warn_unused_result));
/* Takes a request back: it will not be answered. One that is not under way is left alone. */
void resolver_withdraw(struct resolver_request *request);

#endif
