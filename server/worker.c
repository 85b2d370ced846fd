/* worker.c — one thread that serves checks; see worker.h. Who wakes in which order: store, limiter, service,
 * connections, listener; asleep in the reverse. */
#include "server/worker.h"

#include <ev.h>
#include <pthread.h>
#include <stdatomic.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/base/secret.h"
#include "server/limit/limiter.h"
#include "server/net/conn.h"
#include "server/net/listener.h"
#include "server/net/service.h"
#include "server/store/embedded_store.h"
#include "server/store/redis_store.h"

enum { RESERVED_FDS = 128 };
static const double tick_s = 0.05;
#define FORGET_AGAIN_US INT64_C(1000000)
/* How long a drained connection may wait for its peer's close once all is answered. */
static const double linger_s = 0.5;

/* Forgotten twice: the note of a reset may come before the record is deleted, and what is heard of it in between is
 * of before. */
struct forgotten {
    struct forgotten *next;
    struct hash128 hash;
    int64_t again_at_us;
};

struct worker {
    struct worker_options options;
    _Atomic(struct quota_set *) next_quotas; /* held; NULL: none are waiting */
    _Atomic(struct forgotten *) forgotten;   /* records; NULL: none */
    _Atomic uint64_t revision;               /* of the quotas in force */
    pthread_t thread;
    bool has_thread;
    struct ev_loop *loop;
    struct store *store;
    struct hotkeys *hotkeys;
    struct hot_desk hot_desk;
    struct limiter *limiter;
    struct service *service;
    struct conn_host host;
    struct listener listener;
    ev_async drain, new_quotas, forget;
    ev_prepare turn;
    ev_timer tick;
    struct forgotten *forgotten_once;
    bool is_draining;
    ev_tstamp drain_until, linger_until;
    _Atomic bool is_ready;
    struct worker_metrics metrics;
};

static bool is_embedded(const struct worker *worker) {
    return worker->options.config->redis_nodes[0] == '\0';
}

/* The embedded store counts windows by this host's calendar. */
static void tell_calendar(struct worker *worker) {
    if (is_embedded(worker)) {
        embedded_store_set_calendar(worker->store, clock_wall_us() - clock_mono_us());
    }
}

static struct store *create_store(struct worker *worker, uint32_t max_limits, struct status *status) {
    const struct config *config = worker->options.config;
    if (is_embedded(worker)) {
        return embedded_store_create((uint64_t)config->embedded_keys, max_limits, &worker->metrics.embedded,
                                     status);
    }
    char *password = NULL;
    if (config->redis_password_file[0] != '\0') {
        password = secret_read(config->redis_password_file, status);
        if (password == NULL) {
            return NULL;
        }
    }
    struct redis_store_options options = {
        .nodes = config->redis_nodes,
        .user = config->redis_user,
        .password = password,
        .connect_timeout_us = config->redis_connect_timeout_us,
        .max_inflight_per_node = (uint32_t)config->redis_max_inflight,
        .breaker = {.is_on = config->redis_breaker == CONFIG_ON,
                    .min_samples = (uint32_t)config->redis_breaker_samples,
                    .failure_percent = (uint32_t)config->redis_breaker_failures,
                    .silence_us = config->redis_breaker_silence_us,
                    .probe_every_us = config->redis_breaker_probe_us},
        .slot_board = worker->options.slot_board,
    };
    struct store *store = redis_store_create(worker->loop, &options, &worker->metrics.redis, status);
    secret_destroy(&password);
    return store;
}

static bool all_is_answered(const struct worker *worker) {
    return metric_get(&worker->metrics.service.pending) == 0 &&
           worker->host.n_conns == worker->host.n_lingering;
}

static bool drain_is_over(struct worker *worker, ev_tstamp now) {
    if (now >= worker->drain_until) {
        return true;
    }
    if (!all_is_answered(worker)) {
        worker->linger_until = now + linger_s;
        return false;
    }
    return worker->host.n_conns == 0 || now >= worker->linger_until;
}

static void forget_again(struct worker *worker, int64_t now_us) {
    struct forgotten **at = &worker->forgotten_once;
    while (*at != NULL) {
        struct forgotten *forgotten = *at;
        if (now_us < forgotten->again_at_us) {
            at = &forgotten->next;
            continue;
        }
        *at = forgotten->next;
        limiter_forget(worker->limiter, forgotten->hash);
        free(forgotten);
    }
}

static void worker_on_tick(struct ev_loop *loop, ev_timer *watcher, int events) {
    (void)events;
    struct worker *worker = list_entry(watcher, struct worker, tick);
    atomic_store(&worker->is_ready, store_is_ready(worker->store));
    tell_calendar(worker);
    forget_again(worker, clock_mono_us());
    if (worker->is_draining && drain_is_over(worker, ev_now(loop))) {
        ev_break(loop, EVBREAK_ALL);
    }
}

static void worker_on_drain(struct ev_loop *loop, ev_async *watcher, int events) {
    (void)events;
    struct worker *worker = list_entry(watcher, struct worker, drain);
    if (worker->is_draining) {
        return;
    }
    worker->is_draining = true;
    worker->drain_until = ev_now(loop) + (ev_tstamp)worker->options.config->drain_timeout_us / 1e6;
    worker->linger_until = ev_now(loop) + linger_s;
    limiter_drain(worker->limiter, clock_mono_us());
    listener_drain(&worker->listener);
    conn_host_drain(&worker->host);
}

static void worker_on_new_quotas(struct ev_loop *loop, ev_async *watcher, int events) {
    (void)loop;
    (void)events;
    struct worker *worker = list_entry(watcher, struct worker, new_quotas);
    struct quota_set *quotas = atomic_exchange(&worker->next_quotas, NULL);
    if (quotas != NULL) {
        limiter_set_quotas(worker->limiter, quotas);
        atomic_store(&worker->revision, quota_set_revision(quotas));
        quota_set_release(&quotas);
    }
}

static void worker_on_forget(struct ev_loop *loop, ev_async *watcher, int events) {
    (void)loop;
    (void)events;
    struct worker *worker = list_entry(watcher, struct worker, forget);
    struct forgotten *forgotten = atomic_exchange(&worker->forgotten, NULL);
    while (forgotten != NULL) {
        struct forgotten *next = forgotten->next;
        limiter_forget(worker->limiter, forgotten->hash);
        forgotten->again_at_us = clock_mono_us() + FORGET_AGAIN_US;
        forgotten->next = worker->forgotten_once;
        worker->forgotten_once = forgotten;
        forgotten = next;
    }
}

static void worker_on_turn(struct ev_loop *loop, ev_prepare *watcher, int events) {
    (void)loop;
    (void)events;
    struct worker *worker = list_entry(watcher, struct worker, turn);
    if (!atomic_load_explicit(&worker->is_ready, memory_order_relaxed)) {
        atomic_store(&worker->is_ready, store_is_ready(worker->store)); /* not only at the next tick */
    }
    limiter_tick(worker->limiter, worker->host.now_us);
}

static void *worker_main(void *arg) {
    struct worker *worker = arg;
    ev_run(worker->loop, 0);
    return NULL;
}

static bool create_decision(struct worker *worker, struct quota_set *quotas, struct status *status) {
    worker->store = create_store(worker, quota_set_max_limits(quotas), status);
    if (worker->store == NULL) {
        return false;
    }
    tell_calendar(worker);
    const struct worker_options *options = &worker->options;
    struct hotkeys_options hotkeys_options = {
        .hot_per_s = (uint32_t)options->config->hot_rate,
        .least_hot_per_s = (uint32_t)options->config->hot_rate_least,
    };
    worker->hotkeys = hotkeys_create(&hotkeys_options, clock_mono_us());
    if (worker->hotkeys == NULL) {
        return status_fail(status, "out of memory");
    }
    struct limiter_options limiter_options = {
        .store_timeout_us = options->config->store_timeout_us,
        .seed = options->key_seed,
        .fallback = options->fallback,
        .hotkeys = worker->hotkeys,
    };
    worker->limiter = limiter_create(&limiter_options, quotas, worker->store, &worker->metrics.limiter);
    if (worker->limiter == NULL) {
        return status_fail(status, "out of memory");
    }
    struct service_options service_options = {
        .request_timeout_us = options->config->request_timeout_us,
        .version = options->version,
    };
    worker->service = service_create(&service_options, worker->limiter, &worker->metrics.service);
    return worker->service != NULL || status_fail(status, "out of memory");
}

/* Leaves descriptors for Redis, the admin endpoint and the log. */
static int max_client_fd(void) {
    struct rlimit limit;
    bool is_known = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < INT_MAX;
    return is_known ? (int)limit.rlim_cur - RESERVED_FDS : INT_MAX;
}

static void start_watchers(struct worker *worker) {
    const struct config *config = worker->options.config;
    struct conn_options options = {
        .max_connections = (uint32_t)config->max_connections,
        .max_fd = max_client_fd(),
        .max_inflight = (uint32_t)config->max_inflight,
        .max_output_bytes = (uint64_t)config->max_output_bytes,
        .frame_timeout_us = config->frame_timeout_us,
    };
    conn_host_init(&worker->host, worker->loop, &options, &worker->metrics.conn, service_on_frame,
                   service_on_closed, worker->service);
    listener_start(&worker->listener, &worker->host, worker->options.listen_fd);
    ev_async_init(&worker->drain, worker_on_drain);
    ev_async_start(worker->loop, &worker->drain);
    ev_async_init(&worker->new_quotas, worker_on_new_quotas);
    ev_async_start(worker->loop, &worker->new_quotas);
    ev_async_init(&worker->forget, worker_on_forget);
    ev_async_start(worker->loop, &worker->forget);
    hot_desk_open(&worker->hot_desk, worker->loop, worker->hotkeys);
    ev_prepare_init(&worker->turn, worker_on_turn);
    ev_prepare_start(worker->loop, &worker->turn);
    ev_timer_init(&worker->tick, worker_on_tick, 0., tick_s);
    ev_timer_start(worker->loop, &worker->tick);
}

struct worker *worker_create(const struct worker_options *options, struct quota_set *quotas,
                             struct status *status) {
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL) {
        status_fail(status, "out of memory");
        return NULL;
    }
    worker->options = *options;
    atomic_init(&worker->revision, quota_set_revision(quotas));
    worker->loop = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
    if (worker->loop == NULL) {
        status_fail(status, "cannot make an event loop");
        worker_destroy(&worker);
        return NULL;
    }
    if (!create_decision(worker, quotas, status)) {
        worker_destroy(&worker);
        return NULL;
    }
    start_watchers(worker);
    atomic_store(&worker->is_ready, store_is_ready(worker->store));
    return worker;
}

bool worker_start(struct worker *worker) {
    worker->has_thread = pthread_create(&worker->thread, NULL, worker_main, worker) == 0;
    return worker->has_thread;
}

void worker_set_quotas(struct worker *worker, struct quota_set *quotas) {
    struct quota_set *passed_over = atomic_exchange(&worker->next_quotas, quota_set_hold(quotas));
    quota_set_release(&passed_over);
    ev_async_send(worker->loop, &worker->new_quotas);
}

void worker_forget(struct worker *worker, struct hash128 hash) {
    struct forgotten *forgotten = malloc(sizeof *forgotten);
    if (forgotten != NULL) {
        *forgotten = (struct forgotten){.next = atomic_load(&worker->forgotten), .hash = hash};
        while (!atomic_compare_exchange_weak(&worker->forgotten, &forgotten->next, forgotten)) {
        }
        ev_async_send(worker->loop, &worker->forget);
    }
}

uint64_t worker_revision(const struct worker *worker) {
    return atomic_load(&worker->revision);
}

struct hot_desk *worker_hot_desk(struct worker *worker) {
    return &worker->hot_desk;
}

void worker_drain(struct worker *worker) {
    ev_async_send(worker->loop, &worker->drain);
}

static void stop_watchers(struct worker *worker) {
    listener_stop(&worker->listener);
    conn_host_deinit(&worker->host);
    ev_async_stop(worker->loop, &worker->drain);
    ev_async_stop(worker->loop, &worker->new_quotas);
    ev_async_stop(worker->loop, &worker->forget);
    hot_desk_close(&worker->hot_desk);
    ev_prepare_stop(worker->loop, &worker->turn);
    ev_timer_stop(worker->loop, &worker->tick);
}

static void free_forgotten(struct forgotten *forgotten) {
    while (forgotten != NULL) {
        struct forgotten *next = forgotten->next;
        free(forgotten);
        forgotten = next;
    }
}

void worker_destroy(struct worker **handle) {
    struct worker *worker = *handle;
    *handle = NULL;
    if (worker == NULL) {
        return;
    }
    if (worker->has_thread) {
        pthread_join(worker->thread, NULL);
    }
    if (worker->service != NULL) {
        stop_watchers(worker);
    }
    store_destroy(&worker->store);
    service_destroy(&worker->service);
    limiter_destroy(&worker->limiter);
    hotkeys_destroy(&worker->hotkeys);
    if (worker->loop != NULL) {
        ev_loop_destroy(worker->loop);
    }
    struct quota_set *passed_over = atomic_exchange(&worker->next_quotas, NULL);
    quota_set_release(&passed_over);
    free_forgotten(atomic_exchange(&worker->forgotten, NULL));
    free_forgotten(worker->forgotten_once);
    free(worker);
}

bool worker_is_ready(const struct worker *worker) {
    return atomic_load(&worker->is_ready);
}

const struct worker_metrics *worker_metrics(const struct worker *worker) {
    return &worker->metrics;
}
