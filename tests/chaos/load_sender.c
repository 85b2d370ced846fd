/* load_sender.c — the process that sends a load: one loop, a tick each millisecond.
 *
 * A check is due at a time of its own; each tick sends those that are. What an answer was late because this
 * process was, the time from when the tick was due to when the loop woke, is taken off its latency; and so is what
 * the frontend itself had to wait for a processor. The rest is the product's own. */
#include "tests/chaos/load_sender.h"

#include <errno.h>
#include <ev.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/sluice.h"
#include "proto/frame.h"
#include "server/base/buf.h"
#include "tests/chaos/cpu_wait.h"
#include "tests/system/raw_client.h"

enum {
    TICK_US = 1000,
    TIMER_GRAIN_US = 1000, /* the loop's own: waking so much late is not lateness */
    GRACE_US = 300000,     /* for answers on the way when the load ends, at most */
    LOOK_FOR_EXCUSES_US = 5000,
    READ_BYTES = 64 * 1024,
    LIBRARY_TIMEOUT_MS = 20,
};

struct sender;

struct sender_conn {
    struct sender *sender;
    unsigned frontend;
    ev_io readable;
    struct buf in;
};

struct sender_frontend {
    struct cpu_wait wait;
    int64_t waited_us; /* until this tick */
};

/* Which check of its class is next, and when. */
struct sender_class {
    const struct load_class *class;
    size_t first_key;
    uint64_t n_sent;
};

struct sender {
    struct load_shared *shared;
    struct ev_loop *loop;
    ev_timer tick;
    ev_check woken;
    int64_t started_at_us, tick_due_at_us, stopped_at_us;
    int64_t lateness_us; /* of this turn of the loop */
    size_t n_answered;
    size_t n_classes;
    struct sender_class classes[LOAD_MAX_CLASSES];
    const struct load_key *keys;
    struct sender_frontend frontends[LOAD_FRONTENDS];
    size_t n_conns;
    struct sender_conn conns[LOAD_MAX_CONNS];
    struct wire_codec *codec;
    int64_t *frontend_waited_us;  /* until the check was sent, by its record */
    struct sluice_client *client; /* NULL: plain connections */
    struct wire_request request;  /* scratch */
    struct wire_response response;
};

static _Noreturn void give_up(struct sender *sender, const char *what) {
    snprintf(sender->shared->problem, sizeof sender->shared->problem, "%s (%s)", what, strerror(errno));
    _exit(1);
}

static void write_answer(struct sender *sender, struct record *record, int64_t excused_us) {
    int64_t at_us = harness_now_us(), latency_us = at_us - record->sent_at_us;
    excused_us = excused_us < latency_us ? excused_us : latency_us;
    if (excused_us > atomic_load(&sender->shared->most_excused_us)) {
        atomic_store(&sender->shared->most_excused_us, excused_us);
    }
    record->excused_us = (uint32_t)excused_us;
    sender->n_answered++;
    __atomic_store_n(&record->answered_at_us, at_us, __ATOMIC_RELEASE);
}

static struct record *new_record(struct sender *sender, size_t key, unsigned frontend) {
    size_t n = atomic_load_explicit(&sender->shared->n_records, memory_order_relaxed);
    if (n == LOAD_MAX_RECORDS) {
        give_up(sender, "no room for more records");
    }
    struct record *record = &sender->shared->records[n];
    *record =
        (struct record){.sent_at_us = harness_now_us(), .key = (uint16_t)key, .frontend = (uint8_t)frontend};
    atomic_store_explicit(&sender->shared->n_records, n + 1, memory_order_release);
    return record;
}

/* --- plain connections ------------------------------------------------------------------------------------ */

/* What a check was late without any fault of the product. */
static int64_t excuse_of(struct sender *sender, const struct record *record) {
    if (harness_now_us() - record->sent_at_us < LOOK_FOR_EXCUSES_US) {
        return sender->lateness_us;
    }
    int64_t waited_us = cpu_wait_us(&sender->frontends[record->frontend].wait) -
                        sender->frontend_waited_us[record - sender->shared->records];
    return sender->lateness_us + (waited_us > 0 ? waited_us : 0);
}

static void take_answer(struct sender *sender, const struct frame *frame) {
    struct wire_response *response = &sender->response;
    size_t n_records = atomic_load_explicit(&sender->shared->n_records, memory_order_relaxed);
    if (wire_decode_response(sender->codec, frame->body, frame->body_bytes, response) != WIRE_DECODED ||
        response->id == 0 || response->id > n_records) {
        give_up(sender, "an answer to nothing");
    }
    struct record *record = &sender->shared->records[response->id - 1];
    if (record->answered_at_us != 0) {
        give_up(sender, "a second answer to the same check");
    }
    const struct wire_decision *decision = &response->items[0].decision;
    record->status = (uint8_t)response->status;
    if (response->status == WIRE_OK) {
        record->verdict = (uint8_t)decision->verdict;
        record->source = (uint8_t)decision->source;
        record->is_degraded = decision->degraded;
        record->remaining = decision->remaining;
        record->reset_after_us = decision->reset_after_us;
    }
    write_answer(sender, record, excuse_of(sender, record));
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int revents) {
    struct sender_conn *conn = watcher->data;
    (void)revents;
    uint8_t *to = buf_reserve(&conn->in, READ_BYTES);
    ssize_t n = to != NULL ? recv(watcher->fd, to, READ_BYTES, MSG_DONTWAIT) : -1;
    if (n < 0 && errno == EAGAIN) {
        return;
    }
    if (n <= 0) { /* its checks stay unanswered */
        ev_io_stop(loop, watcher);
        return;
    }
    buf_commit(&conn->in, (size_t)n);
    struct frame frame;
    while (buf_len(&conn->in) > 0 &&
           frame_parse(buf_front(&conn->in), buf_len(&conn->in), &frame) == FRAME_READY) {
        take_answer(conn->sender, &frame);
        buf_consume(&conn->in, frame.total_bytes);
    }
}

static void send_plainly(struct sender *sender, size_t key, const struct sender_conn *conn) {
    const struct load_key *load_key = &sender->keys[key];
    uint8_t out[512];
    struct record *record = new_record(sender, key, conn->frontend);
    size_t place = (size_t)(record - sender->shared->records);
    sender->frontend_waited_us[place] = sender->frontends[conn->frontend].waited_us;
    sender->request.id = place + 1;
    sender->request.checks[0] = raw_check_of(LOAD_TENANT, load_key->class->resource, load_key->name);
    size_t n = wire_encode_request(&sender->request, out, sizeof out);
    if (n == 0 || send(conn->readable.fd, out, n, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)n) {
        give_up(sender, "a frontend does not read");
    }
}

/* Of the n-th connection. */
static unsigned frontend_of(struct load_senders senders, size_t n) {
    if (senders.percent_on_first == 0) {
        return (unsigned)(n % LOAD_FRONTENDS);
    }
    size_t n_first = (n + 1) * senders.percent_on_first / 100,
           n_first_before = n * senders.percent_on_first / 100;
    return n_first > n_first_before ? 0 : 1 + (unsigned)((n - n_first_before) % (LOAD_FRONTENDS - 1));
}

static void open_conns(struct sender *sender, const struct frontend frontends[LOAD_FRONTENDS],
                       struct load_senders senders) {
    sender->codec = wire_codec_create();
    sender->frontend_waited_us = calloc(LOAD_MAX_RECORDS, sizeof *sender->frontend_waited_us);
    sender->request = (struct wire_request){.call = WIRE_CALL_CHECK, .n_checks = 1};
    sender->n_conns = senders.n_conns > 0 ? senders.n_conns : LOAD_FRONTENDS;
    for (size_t i = 0; i < LOAD_FRONTENDS; i++) {
        cpu_wait_open(&sender->frontends[i].wait, frontends[i].pid);
    }
    for (size_t i = 0; i < sender->n_conns; i++) {
        struct sender_conn *conn = &sender->conns[i];
        conn->frontend = frontend_of(senders, i);
        int fd = connect_to(frontends[conn->frontend].port);
        if (fd < 0 || sender->codec == NULL || sender->frontend_waited_us == NULL) {
            give_up(sender, "cannot connect");
        }
        conn->sender = sender;
        ev_io_init(&conn->readable, on_readable, fd, EV_READ);
        conn->readable.data = conn;
        ev_io_start(sender->loop, &conn->readable);
    }
}

/* --- the library ------------------------------------------------------------------------------------------ */

struct library_call {
    struct sender *sender;
    struct record *record;
};

static void on_decided(void *arg, enum sluice_status status, const char *message,
                       const struct sluice_decision *decisions, size_t n_decisions) {
    struct library_call *call = arg;
    struct record *record = call->record;
    (void)message;
    record->status = (uint8_t)status;
    if (status == SLUICE_OK && n_decisions == 1) {
        record->verdict = decisions[0].allowed ? WIRE_ALLOW : WIRE_DENY;
        record->source = (uint8_t)decisions[0].source;
    }
    write_answer(call->sender, record, call->sender->lateness_us);
    free(call);
}

static void send_by_library(struct sender *sender, size_t key) {
    const struct load_key *load_key = &sender->keys[key];
    struct sluice_check check = sluice_check_of(LOAD_TENANT, load_key->class->resource, load_key->name);
    struct library_call *call = malloc(sizeof *call);
    if (call == NULL) {
        give_up(sender, "no memory");
    }
    *call = (struct library_call){sender, new_record(sender, key, 0)};
    if (!sluice_check_async(sender->client, &check, on_decided, call)) {
        give_up(sender, "the library takes no more");
    }
}

static void open_client(struct sender *sender, const struct frontend frontends[LOAD_FRONTENDS]) {
    const char *servers[LOAD_FRONTENDS];
    for (size_t i = 0; i < LOAD_FRONTENDS; i++) {
        servers[i] = frontends[i].address;
    }
    struct sluice_options options = {
        .servers = servers, .n_servers = LOAD_FRONTENDS, .timeout_ms = LIBRARY_TIMEOUT_MS};
    sender->client =
        sluice_attach(sender->loop, &options, sender->shared->problem, sizeof sender->shared->problem);
    if (sender->client == NULL) {
        _exit(1);
    }
}

/* --- the clock -------------------------------------------------------------------------------------------- */

/* Each key goes round the connections, and neighbours among the keys begin at different ones. */
static void send_due(struct sender *sender, struct sender_class *of, int64_t now_us) {
    const struct load_class *class = of->class;
    uint64_t n_due = (uint64_t)(now_us - sender->started_at_us) * class->checks_per_s / 1000000;
    for (; of->n_sent < n_due; of->n_sent++) {
        size_t key = of->n_sent % class->n_keys;
        if (sender->client != NULL) {
            send_by_library(sender, of->first_key + key);
        } else {
            size_t conn = (of->n_sent / class->n_keys + key) % sender->n_conns;
            send_plainly(sender, of->first_key + key, &sender->conns[conn]);
        }
    }
}

static bool is_over(const struct sender *sender, int64_t now_us) {
    bool is_all_answered = sender->n_answered == atomic_load(&sender->shared->n_records);
    return is_all_answered || now_us >= sender->stopped_at_us + GRACE_US;
}

static void on_tick(struct ev_loop *loop, ev_timer *watcher, int revents) {
    struct sender *sender = watcher->data;
    (void)revents;
    int64_t now_us = harness_now_us();
    for (size_t i = 0; sender->client == NULL && i < LOAD_FRONTENDS; i++) {
        sender->frontends[i].waited_us = cpu_wait_us(&sender->frontends[i].wait);
    }
    if (!atomic_load(&sender->shared->is_stopping)) {
        for (size_t i = 0; i < sender->n_classes; i++) {
            send_due(sender, &sender->classes[i], now_us);
        }
    } else if (sender->stopped_at_us == 0) {
        sender->stopped_at_us = now_us;
    } else if (is_over(sender, now_us)) {
        ev_break(loop, EVBREAK_ALL);
    }
    sender->tick_due_at_us = harness_now_us() + TICK_US;
    ev_now_update(loop);
    ev_timer_again(loop, watcher);
}

static void on_woken(struct ev_loop *loop, ev_check *watcher, int revents) {
    struct sender *sender = watcher->data;
    (void)loop;
    (void)revents;
    int64_t late_us = harness_now_us() - sender->tick_due_at_us - TIMER_GRAIN_US;
    sender->lateness_us = late_us > 0 ? late_us : 0;
}

static void start_clock(struct sender *sender) {
    sender->started_at_us = harness_now_us();
    sender->tick_due_at_us = sender->started_at_us + TICK_US;
    ev_now_update(sender->loop);
    ev_check_init(&sender->woken, on_woken);
    ev_set_priority(&sender->woken, EV_MAXPRI);
    sender->woken.data = sender;
    ev_check_start(sender->loop, &sender->woken);
    ev_timer_init(&sender->tick, on_tick, TICK_US / 1e6, TICK_US / 1e6);
    ev_set_priority(&sender->tick, EV_MINPRI); /* what has come is read before more is sent */
    sender->tick.data = sender;
    ev_timer_start(sender->loop, &sender->tick);
}

_Noreturn void load_sender_run(struct load *load, const struct load_class classes[],
                               const struct frontend frontends[LOAD_FRONTENDS], struct load_senders senders) {
    struct sender *sender = calloc(1, sizeof *sender);
    if (sender == NULL) {
        _exit(1);
    }
    sender->shared = load->shared;
    sender->keys = load->keys;
    sender->loop = ev_loop_new(EVFLAG_AUTO);
    size_t first_key = 0;
    for (const struct load_class *class = classes; class->resource != NULL; class ++) {
        sender->classes[sender->n_classes++] = (struct sender_class){.class = class, .first_key = first_key};
        first_key += class->n_keys;
    }
    if (senders.by_library) {
        open_client(sender, frontends);
    } else {
        open_conns(sender, frontends, senders);
    }
    start_clock(sender);
    ev_run(sender->loop, 0);
    _exit(0);
}
