/* load.c — a steady load on several frontends; see load.h. The process that sends is load_sender.c. */
#include "tests/chaos/load.h"

#include <signal.h>
#include <sys/mman.h>

#include "server/core/slot.h"
#include "server/store/store_key.h"
#include "tests/chaos/load_sender.h"

enum { STOP_LIMIT_MS = 5000, FIRST_SLOTS = 400 };

void load_write_quotas(const struct load_class classes[], char *text, size_t cap) {
    size_t n = (size_t)snprintf(text, cap, "tenants:\n  %s:\n", LOAD_TENANT);
    for (const struct load_class *class = classes; class->resource != NULL; class ++) {
        n += (size_t)snprintf(text + n, cap - n, "    %s: { limits: [ { rate: %u/s, burst: %u }%s%s ] }\n",
                              class->resource, class->rate_per_s, class->burst,
                              class->wider != NULL ? ", " : "", class->wider != NULL ? class->wider : "");
        assert_true(n < cap);
    }
}

static struct bytes bytes_of(const char *text) {
    return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static unsigned slot_of(const char *resource, const char *key) {
    uint8_t name[STORE_KEY_MAX_BYTES];
    struct bucket_name bucket =
        bucket_name_of(BUCKET_PER_KEY, bytes_of(LOAD_TENANT), bytes_of(resource), bytes_of(key));
    size_t n = store_key_write(&bucket, name, sizeof name);
    return slot_of_key((struct bytes){name, n});
}

/* cluster.sh gives each of its masters a third of the slots, in their order. */
static unsigned shard_of(unsigned slot) {
    unsigned shard = LOAD_SHARDS - 1;
    while (slot < SLOT_COUNT * shard / LOAD_SHARDS) {
        shard--;
    }
    return shard;
}

static void add_keys(struct load *load, const struct load_class *class) {
    unsigned number = 0, slot;
    for (unsigned i = 0; i < class->n_keys; i++) {
        assert_true(load->n_keys < LOAD_MAX_KEYS);
        struct load_key *key = &load->keys[load->n_keys++];
        key->class = class;
        do {
            snprintf(key->name, sizeof key->name, "k%u", number++);
            slot = slot_of(class->resource, key->name);
            key->shard = shard_of(slot);
        } while (class->is_one_per_shard &&
                 (key->shard != i || slot >= SLOT_COUNT * i / LOAD_SHARDS + FIRST_SLOTS));
    }
}

void load_start(struct harness *harness, struct load *load, const struct load_class classes[],
                const struct frontend frontends[LOAD_FRONTENDS], struct load_senders senders) {
    *load = (struct load){.harness = harness};
    for (const struct load_class *class = classes; class->resource != NULL; class ++) {
        add_keys(load, class);
    }
    load->shared = mmap(NULL, sizeof *load->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(load->shared != MAP_FAILED);
    load->pid = harness_fork(harness, SIGKILL);
    if (load->pid == 0) {
        load_sender_run(load, classes, frontends, senders);
    }
}

void load_stop(struct load *load) {
    atomic_store(&load->shared->is_stopping, true);
    int code = harness_wait(load->harness, load->pid, STOP_LIMIT_MS);
    if (code != 0) {
        fail_msg("the load ended with %d: %s", code, load->shared->problem);
    }
    load->pid = 0;
}

void load_close(struct load *load) {
    if (load->pid != 0) {
        harness_kill(load->harness, load->pid);
        load->pid = 0;
    }
    if (load->shared != NULL) {
        munmap(load->shared, sizeof *load->shared);
        load->shared = NULL;
    }
}

const struct record *load_records(const struct load *load, size_t *n_records) {
    *n_records = atomic_load_explicit(&load->shared->n_records, memory_order_acquire);
    return load->shared->records;
}

int64_t load_most_excused_us(const struct load *load) {
    return atomic_load(&load->shared->most_excused_us);
}
