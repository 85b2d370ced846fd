/* fuzz_redis_reply.c — any bytes as replies of Redis, in pieces; each read as a slot map and as what scripts
 * say to a check, a take, a give and a lease. */
#include <stdlib.h>

#include "server/store/redis_error.h"
#include "server/store/redis_reply.h"
#include "server/store/script.h"
#include "server/store/script_give.h"
#include "server/store/script_lease.h"
#include "server/store/script_take.h"
#include "server/store/slotmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

static uint16_t number_of(void *arg, const struct node_addr *addr) {
    (void)arg;
    return addr->port % SLOTMAP_MAX_NODES;
}

static const struct bucket_limit limit = {.id = 7, .count = 5, .period_s = 1, .burst_utok = 10000000};
static const struct quota_part part = {.n_limits = 1, .limits = &limit};

/* With an idempotency key and a reservation, or with neither. */
static void read_take_and_give(struct bytes text, bool has_both) {
    static const struct store_memo memo = {.fingerprint = "0123456789abcde"};
    static const struct store_reservation reservation = {.id = "0123456789abcde"};
    struct store_wish wishes[2] = {{.cost_tokens = 1}, {.cost_tokens = 3}};
    struct store_take take = {.part = &part, .wishes = wishes, .n_wishes = 2};
    struct store_give give = {.part = &part, .tokens = 2};
    if (has_both) {
        take.memo = give.memo = &memo;
        take.reservation = &reservation;
        take.n_wishes = 1;
        give.reservation_id = reservation.id;
    }
    (void)!script_take_parse(text, &take);
    take.is_denied_elsewhere = has_both;
    (void)!script_take_parse(text, &take);
    (void)!script_give_parse(text, &give);
}

static void read_lease(struct bytes text) {
    static const struct script_lease lease = {
        .limits = &limit, .n_limits = 1, .wish = {.need_tokens = 1, .extra_tokens = 9, .lease_us = 50000}};
    struct lease_grant grant;
    struct bucket_record record;
    (void)!script_lease_parse(text, &lease, &grant, &record);
}

static void take_reply(const struct redis_reply *reply) {
    static const struct node_addr from = {.host = "127.0.0.1", .port = 7001};
    static const struct script_check check = {.limits = &limit, .n_limits = 1, .cost_tokens = 1};
    static struct slotmap map;
    struct bucket_verdict verdict;
    struct bucket_record record;
    struct bytes address;
    (void)!slotmap_read(&map, reply, &from, number_of, NULL);
    if (reply->kind == REDIS_KIND_STRING) {
        (void)!script_check_parse(reply->text, &check, &verdict, &record);
        read_take_and_give(reply->text, false);
        read_take_and_give(reply->text, true);
        read_lease(reply->text);
    } else if (reply->kind == REDIS_KIND_ERROR) {
        struct node_addr addr;
        (void)!(redis_error_redirect(reply->text, &address) && node_addr_parse(address, &from, &addr));
    }
}

/* The first byte is the length of the pieces. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    struct redis_reader *reader = redis_reader_create();
    size_t piece = n_bytes > 0 ? 1 + bytes[0] : 1;
    enum redis_reader_outcome outcome = REDIS_READER_MORE;
    for (size_t at = 1; reader != NULL && at < n_bytes && outcome == REDIS_READER_MORE; at += piece) {
        const struct redis_reply *reply;
        redis_reader_feed(reader, bytes + at, n_bytes - at < piece ? n_bytes - at : piece);
        while ((outcome = redis_reader_next(reader, &reply)) == REDIS_READER_REPLY) {
            take_reply(reply);
        }
    }
    redis_reader_destroy(&reader);
    return 0;
}
