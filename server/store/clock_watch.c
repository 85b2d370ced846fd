/* clock_watch.c — asks nodes for their time; see clock_watch.h. */
#include "server/store/clock_watch.h"

#include <inttypes.h>
#include <stdlib.h>

#include "server/base/clock.h"
#include "server/base/ensure.h"
#include "server/base/log.h"
#include "server/store/topology.h"

enum { CLOCK_WATCH_MAGIC = 0x7ed15c13, MAX_DIGITS = 12, REFRESH_EVERY_TICKS = 15 };

#define LOG_EVERY_US INT64_C(60000000)
#define FIRST_AFTER 0.1 /* of the time between two */

struct clock_watch {
    uint32_t magic;
    struct ev_loop *loop;
    struct topology *topology;
    ev_timer tick;
    uint32_t n_ticks;
    struct log_gate own_gate, spread_gate;
};

/* ---- asking ---- */

static bool parse_number(struct bytes text, int64_t *number) {
    if (text.len < 1 || text.len > MAX_DIGITS) {
        return false;
    }
    *number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        *number = *number * 10 + (text.data[i] - '0');
    }
    return true;
}

bool clock_watch_parse(const struct redis_reply *reply, int64_t *time_us) {
    const struct redis_reply *seconds = redis_reply_child(reply, 0), *rest = redis_reply_child(reply, 1);
    int64_t s, us;
    if (seconds == NULL || rest == NULL || seconds->kind != REDIS_KIND_STRING ||
        rest->kind != REDIS_KIND_STRING || !parse_number(seconds->text, &s) || !parse_number(rest->text, &us)) {
        return false;
    }
    *time_us = s * 1000000 + us;
    return true;
}

static void probe_ended(struct redis_command *command, enum redis_command_end end,
                        const struct redis_reply *reply) {
    struct clock_probe *probe = list_entry(command, struct clock_probe, command);
    int64_t node_us;
    if (end == REDIS_COMMAND_REPLIED && clock_watch_parse(reply, &node_us)) {
        node_clock_read(&probe->clock, node_us, clock_wall_us(), probe->asked_at_us, clock_mono_us());
    }
}

static void ask(struct topology_node *node) {
    static const char time_command[] = "*1\r\n$4\r\nTIME\r\n";
    struct clock_probe *probe = &node->clock_probe;
    if (probe->command.state != REDIS_COMMAND_IDLE || !redis_conn_is_up(node->conn)) {
        return;
    }
    probe->command = (struct redis_command){
        .head = {.data = (const uint8_t *)time_command, .len = sizeof time_command - 1},
        .n_replies = 1,
        .ended = probe_ended,
    };
    probe->asked_at_us = clock_mono_us();
    enum redis_submit outcome = redis_conn_submit(node->conn, &probe->command);
    (void)outcome; /* when it is not taken, it stays idle and the next tick asks again */
}

/* ---- judging ---- */

struct extreme {
    const struct topology_node *node; /* NULL: no clock is known */
    int64_t ahead_us;
};

static void warn_own(const struct extreme *of) {
    char text[NODE_ADDR_TEXT_BYTES];
    node_addr_format(redis_conn_addr(of->node->conn), text);
    log_write(LOG_WARN, "clock", "node %s: its clock is %.3f s %s this frontend's", text,
              (double)llabs(of->ahead_us) * 1e-6, of->ahead_us > 0 ? "ahead of" : "behind");
}

static void warn_spread(const struct extreme *low, const struct extreme *high) {
    char low_text[NODE_ADDR_TEXT_BYTES], high_text[NODE_ADDR_TEXT_BYTES];
    node_addr_format(redis_conn_addr(low->node->conn), low_text);
    node_addr_format(redis_conn_addr(high->node->conn), high_text);
    log_write(
        LOG_WARN, "clock",
        "the clock of node %s is %.3f s ahead of that of node %s: when slots move between nodes, the time of "
        "their buckets steps",
        high_text, (double)(high->ahead_us - low->ahead_us) * 1e-6, low_text);
}

static void judge(struct clock_watch *watch, int64_t now_us) {
    struct extreme low = {.node = NULL}, high = {.node = NULL};
    const struct topology_node *node = NULL;
    while ((node = topology_next(watch->topology, node)) != NULL) {
        int64_t ahead_us;
        if (!topology_is_owner(node) || !node_clock_ahead(&node->clock_probe.clock, now_us, &ahead_us)) {
            continue;
        }
        if (low.node == NULL || ahead_us < low.ahead_us) {
            low = (struct extreme){node, ahead_us};
        }
        if (high.node == NULL || ahead_us > high.ahead_us) {
            high = (struct extreme){node, ahead_us};
        }
    }
    if (low.node == NULL) {
        return;
    }
    const struct extreme *worst = llabs(low.ahead_us) > llabs(high.ahead_us) ? &low : &high;
    uint64_t n_held_back;
    if (llabs(worst->ahead_us) > CLOCK_WATCH_TOLERANCE_US &&
        log_gate_open(&watch->own_gate, now_us, LOG_EVERY_US, &n_held_back)) {
        warn_own(worst);
    }
    if (high.ahead_us - low.ahead_us > CLOCK_WATCH_TOLERANCE_US &&
        log_gate_open(&watch->spread_gate, now_us, LOG_EVERY_US, &n_held_back)) {
        warn_spread(&low, &high);
    }
}

static void clock_watch_on_tick(struct ev_loop *loop, ev_timer *timer, int events) {
    (void)loop;
    (void)events;
    struct clock_watch *watch = timer->data;
    ensure(watch->magic, ==, CLOCK_WATCH_MAGIC);
    judge(watch, clock_mono_us());
    if (++watch->n_ticks % REFRESH_EVERY_TICKS == 0) {
        topology_refresh_soon(watch->topology);
    }
    struct topology_node *node = NULL;
    while ((node = topology_next(watch->topology, node)) != NULL) {
        if (topology_is_owner(node)) {
            ask(node);
        }
    }
}

/* ---- lifecycle ---- */

struct clock_watch *clock_watch_create(struct ev_loop *loop, struct topology *topology, int64_t every_us) {
    struct clock_watch *watch = malloc(sizeof *watch);
    if (watch != NULL) {
        *watch = (struct clock_watch){.magic = CLOCK_WATCH_MAGIC, .loop = loop, .topology = topology};
        double every_s = (double)every_us * 1e-6;
        ev_timer_init(&watch->tick, clock_watch_on_tick, every_s * FIRST_AFTER, every_s);
        watch->tick.data = watch;
        ev_timer_start(loop, &watch->tick);
    }
    return watch;
}

void clock_watch_destroy(struct clock_watch **watch) {
    struct clock_watch *old = *watch;
    if (old != NULL) {
        ev_timer_stop(old->loop, &old->tick);
        old->magic = 0;
        free(old);
    }
    *watch = NULL;
}
