/* move_slots.c — five hundred slots move to another shard and back, the hottest key's among them. */
#include "tests/chaos/scenarios.h"

#include "server/core/slot.h"

enum { HELD_MS = 500, RESHARD_LIMIT_S = 60, ID_BYTES = 48, AGREEMENT_LIMIT_US = 10 * 1000 * 1000 };

struct move {
    const struct chaos *chaos;
    uint16_t from, to;
    char from_id[ID_BYTES], to_id[ID_BYTES];
    char slot[8]; /* of the hot key of shard 0 */
    char redis_key[64];
};

static void read_id(const struct chaos *chaos, uint16_t port, char id[ID_BYTES]) {
    struct run run;
    CLUSTER_COMMAND(&chaos->cluster, &run, port, "cluster", "myid");
    assert_int_equal(sscanf(run.out, "%47s", id), 1);
}

static void set_slot(const struct move *move, uint16_t port, const char *state, const char *id) {
    struct run run;
    CLUSTER_COMMAND(&move->chaos->cluster, &run, port, "cluster", "setslot", move->slot, state, id);
}

/* The key is already there while its slot is still here, for a while: every check of it is redirected by ASK. */
static void move_hot_slot(const struct move *move) {
    char to_port[8];
    struct run run;
    snprintf(to_port, sizeof to_port, "%u", move->to);
    set_slot(move, move->to, "importing", move->from_id);
    set_slot(move, move->from, "migrating", move->to_id);
    CLUSTER_COMMAND(&move->chaos->cluster, &run, move->from, "migrate", "127.0.0.1", to_port, move->redis_key,
                    "0", "5000");
    harness_sleep_ms(HELD_MS);
    set_slot(move, move->to, "node", move->to_id);
    set_slot(move, move->from, "node", move->to_id);
    set_slot(move, chaos_master_of(move->chaos, 2), "node", move->to_id);
}

/* The news of a move takes a while to reach every node, and the next one must not begin before. */
static void await_agreement(const struct move *move, const char *node) {
    int64_t deadline_us = harness_now_us() + AGREEMENT_LIMIT_US;
    struct run run;
    do {
        assert_true(harness_now_us() < deadline_us);
        HARNESS_RUN(move->chaos->harness, &run, RESHARD_LIMIT_S, "redis-cli", "--cluster", "check", node);
    } while (run.exit_code != 0);
}

/* Moves the first slots of a node. */
static void reshard(const struct move *move, const char *from_id, const char *to_id, const char *n_slots) {
    char node[32];
    struct run run;
    snprintf(node, sizeof node, "127.0.0.1:%u", move->from);
    await_agreement(move, node);
    HARNESS_RUN(move->chaos->harness, &run, RESHARD_LIMIT_S, "redis-cli", "--cluster", "reshard", node,
                "--cluster-from", from_id, "--cluster-to", to_id, "--cluster-slots", n_slots, "--cluster-yes");
    if (run.exit_code != 0) {
        fail_msg("redis-cli --cluster reshard: %s%s", run.out, run.err);
    }
}

void chaos_move_slots(void **state) {
    struct chaos *chaos = *state;
    chaos_begin(chaos, chaos_mixed_load);
    const struct load_key *hot = &chaos->load.keys[0];
    struct move move = {.chaos = chaos, .from = chaos_master_of(chaos, 0), .to = chaos_master_of(chaos, 1)};
    read_id(chaos, move.from, move.from_id);
    read_id(chaos, move.to, move.to_id);
    snprintf(move.redis_key, sizeof move.redis_key, "s:%s/%s/%s", LOAD_TENANT, hot->class->resource, hot->name);
    snprintf(move.slot, sizeof move.slot, "%u", cluster_slot_of(&chaos->cluster, move.redis_key));

    chaos_break(chaos);
    move_hot_slot(&move);
    reshard(&move, move.from_id, move.to_id, "499");
    reshard(&move, move.to_id, move.from_id, "500");
    chaos_repair(chaos);

    chaos_judge(chaos, "move_slots");
    assert_true(chaos_metric(chaos, "sluice_redis_error_replies_total{code=\"ASK\"}") >= 50);
    assert_true(chaos_metric(chaos, "sluice_redis_error_replies_total{code=\"MOVED\"}") >= LOAD_FRONTENDS);
    assert_int_equal(chaos_metric(chaos, "sluice_redis_breaker_opens_total"), 0);
    chaos_end(chaos);
}
