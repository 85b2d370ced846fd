/* resolver.c — names of hosts become addresses off the loop; see resolver.h.
 *
 * What threads share with the loop is the `office`: it lives until the resolver and the last of its threads have
 * left. A lookup belongs to the office while it is queued or answered, and to a thread in between. */
#include "server/store/resolver.h"

#include <pthread.h>
#include <stdlib.h>

#include "server/base/ensure.h"

enum { RESOLVER_MAGIC = 0x7ed15c14 };

struct lookup {
    /* the loop's own */
    struct list in_lookups;
    struct list requests;
    /* the office's, or the thread's that has it */
    struct list in_office;
    struct node_addr addr;
    struct sockaddr_storage found[RESOLVER_MAX_ADDRESSES];
    uint32_t n_found;
    const char *problem;
};

struct office {
    pthread_mutex_t lock;
    resolver_resolve_fn resolve; /* never changes */
    struct ev_loop *loop;
    ev_async *arrived; /* NULL: the resolver has left */
    struct list queued, answered;
    uint32_t n_threads;
};

struct resolver {
    uint32_t magic;
    struct ev_loop *loop;
    struct office *office;
    ev_async arrived;
    struct list lookups; /* queued, with a thread or answered */
    uint32_t n_lookups;
};

/* ---- the office ---- */

static struct office *office_create(struct ev_loop *loop, resolver_resolve_fn resolve, ev_async *arrived) {
    struct office *office = malloc(sizeof *office);
    if (office != NULL) {
        *office = (struct office){.resolve = resolve, .loop = loop, .arrived = arrived};
        pthread_mutex_init(&office->lock, NULL);
        list_init(&office->queued);
        list_init(&office->answered);
    }
    return office;
}

/* Unlocks, and frees what the last to leave leaves behind. */
static void office_unlock(struct office *office) {
    bool is_empty = office->arrived == NULL && office->n_threads == 0;
    pthread_mutex_unlock(&office->lock);
    if (is_empty) {
        pthread_mutex_destroy(&office->lock);
        free(office);
    }
}

static void free_lookups(struct list *in_office) {
    struct list *node;
    while ((node = list_pop_front(in_office)) != NULL) {
        free(list_entry(node, struct lookup, in_office));
    }
}

static void *thread_main(void *arg) {
    struct office *office = arg;
    struct list *node;
    pthread_mutex_lock(&office->lock);
    while ((node = list_pop_front(&office->queued)) != NULL) {
        struct lookup *lookup = list_entry(node, struct lookup, in_office);
        pthread_mutex_unlock(&office->lock);
        lookup->n_found =
            office->resolve(&lookup->addr, lookup->found, RESOLVER_MAX_ADDRESSES, &lookup->problem);
        pthread_mutex_lock(&office->lock);
        if (office->arrived != NULL) {
            list_push_back(&office->answered, &lookup->in_office);
            ev_async_send(office->loop, office->arrived);
        } else {
            free(lookup);
        }
    }
    office->n_threads--;
    office_unlock(office);
    return NULL;
}

/* Called with the lock held. */
static bool start_thread(struct office *office) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, thread_main, office) != 0) {
        return false;
    }
    pthread_detach(thread);
    office->n_threads++;
    return true;
}

/* False when there is nobody to do it. */
static bool queue_lookup(struct office *office, struct lookup *lookup) {
    pthread_mutex_lock(&office->lock);
    list_push_back(&office->queued, &lookup->in_office);
    bool is_taken = (office->n_threads < RESOLVER_MAX_THREADS && start_thread(office)) || office->n_threads > 0;
    if (!is_taken) {
        list_remove(&lookup->in_office);
    }
    pthread_mutex_unlock(&office->lock);
    return is_taken;
}

/* ---- the loop's side ---- */

static struct resolver *resolver_of(void *data) {
    struct resolver *resolver = data;
    ensure(resolver->magic, ==, RESOLVER_MAGIC);
    return resolver;
}

static void answer_requests(struct lookup *lookup) {
    struct list *node;
    while ((node = list_pop_front(&lookup->requests)) != NULL) {
        struct resolver_request *request = list_entry(node, struct resolver_request, in_lookup);
        request->answered(request, lookup->found, lookup->n_found, lookup->problem);
    }
}

static void resolver_on_arrived(struct ev_loop *loop, ev_async *watcher, int events) {
    (void)loop;
    (void)events;
    struct resolver *resolver = resolver_of(watcher->data);
    struct office *office = resolver->office;
    struct list answered, *node;
    list_init(&answered);
    pthread_mutex_lock(&office->lock);
    list_append_all(&answered, &office->answered);
    pthread_mutex_unlock(&office->lock);
    while ((node = list_pop_front(&answered)) != NULL) {
        struct lookup *lookup = list_entry(node, struct lookup, in_office);
        list_remove(&lookup->in_lookups);
        resolver->n_lookups--;
        answer_requests(lookup);
        free(lookup);
    }
}

static struct lookup *find_lookup(const struct resolver *resolver, const struct node_addr *addr) {
    for (struct list *node = resolver->lookups.next; node != &resolver->lookups; node = node->next) {
        struct lookup *lookup = list_entry(node, struct lookup, in_lookups);
        if (node_addr_is_same(&lookup->addr, addr)) {
            return lookup;
        }
    }
    return NULL;
}

static struct lookup *start_lookup(struct resolver *resolver, const struct node_addr *addr) {
    struct lookup *lookup = resolver->n_lookups < RESOLVER_MAX_LOOKUPS ? malloc(sizeof *lookup) : NULL;
    if (lookup == NULL) {
        return NULL;
    }
    *lookup = (struct lookup){.addr = *addr, .problem = "no address"};
    list_init(&lookup->requests);
    if (!queue_lookup(resolver->office, lookup)) {
        free(lookup);
        return NULL;
    }
    list_push_back(&resolver->lookups, &lookup->in_lookups);
    resolver->n_lookups++;
    return lookup;
}

bool resolver_ask(struct resolver *resolver, const struct node_addr *addr, struct resolver_request *request) {
    struct lookup *lookup = find_lookup(resolver, addr);
    if (lookup == NULL) {
        lookup = start_lookup(resolver, addr);
    }
    if (lookup == NULL) {
        return false;
    }
    list_push_back(&lookup->requests, &request->in_lookup);
    return true;
}

void resolver_withdraw(struct resolver_request *request) {
    list_remove(&request->in_lookup);
}

void resolver_request_init(struct resolver_request *request, resolver_answered_fn answered) {
    request->answered = answered;
    list_init(&request->in_lookup);
}

/* ---- lifecycle ---- */

struct resolver *resolver_create(struct ev_loop *loop, resolver_resolve_fn resolve) {
    struct resolver *resolver = malloc(sizeof *resolver);
    if (resolver == NULL) {
        return NULL;
    }
    *resolver = (struct resolver){.magic = RESOLVER_MAGIC, .loop = loop};
    resolver->office = office_create(loop, resolve, &resolver->arrived);
    if (resolver->office == NULL) {
        free(resolver);
        return NULL;
    }
    list_init(&resolver->lookups);
    ev_async_init(&resolver->arrived, resolver_on_arrived);
    resolver->arrived.data = resolver;
    ev_async_start(loop, &resolver->arrived);
    return resolver;
}

static void forget_requests(struct resolver *resolver) {
    struct list *node;
    while ((node = list_pop_front(&resolver->lookups)) != NULL) {
        struct lookup *lookup = list_entry(node, struct lookup, in_lookups);
        while (list_pop_front(&lookup->requests) != NULL) {
        }
    }
}

static void leave_office(struct office *office) {
    pthread_mutex_lock(&office->lock);
    office->arrived = NULL;
    free_lookups(&office->queued);
    free_lookups(&office->answered);
    office_unlock(office);
}

void resolver_destroy(struct resolver **resolver) {
    struct resolver *old = *resolver;
    if (old != NULL) {
        forget_requests(old);
        leave_office(old->office);
        ev_async_stop(old->loop, &old->arrived);
        old->magic = 0;
        free(old);
    }
    *resolver = NULL;
}
