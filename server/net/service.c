/* service.c — turns frames into calls of the limiter and answers into frames; see service.h for the path. */
#include "server/net/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"
#include "proto/wire.h"
#include "server/base/clock.h"
#include "server/base/ensure.h"
#include "server/base/hash.h"
#include "server/net/request.h"

/* The contract's limits are the house's: a check that passes wire_check_problem fits everywhere below. */
_Static_assert((int)WIRE_TENANT_MAX_BYTES == (int)QUOTA_TENANT_MAX_BYTES, "tenant");
_Static_assert((int)WIRE_RESOURCE_MAX_BYTES == (int)QUOTA_RESOURCE_MAX_BYTES, "resource");
_Static_assert((int)WIRE_KEY_MAX_BYTES == (int)QUOTA_KEY_MAX_BYTES, "key");
_Static_assert(WIRE_COST_MAX == BUCKET_MAX_TOKENS, "cost");
_Static_assert((int)WIRE_IDEMPOTENCY_KEY_MAX_BYTES == (int)STORE_MEMO_KEY_MAX_BYTES, "idempotency key");

enum { ANSWER_BASE_BYTES = 1024, ANSWER_ITEM_BYTES = 384 };

static const char short_of_memory[] = "the frontend is short of memory";

struct service {
    struct service_options options;
    struct limiter *limiter;
    struct service_metrics *metrics;
    struct wire_codec *codec;
    struct request_pool pool;
    struct wire_request request;   /* scratch, valid while a frame is looked at */
    struct wire_response response; /* scratch, valid while an answer is encoded */
    bool is_found;                 /* of the check that is looked at, by limiter_decide, which left it: */
    struct limiter_found found;
};

struct service *service_create(const struct service_options *options, struct limiter *limiter,
                               struct service_metrics *metrics) {
    struct service *service = calloc(1, sizeof *service);
    if (service == NULL) {
        return NULL;
    }
    service->options = *options;
    service->limiter = limiter;
    service->metrics = metrics;
    request_pool_init(&service->pool);
    service->codec = wire_codec_create();
    if (service->codec == NULL) {
        service_destroy(&service);
    }
    return service;
}

void service_destroy(struct service **service) {
    if (*service != NULL) {
        request_pool_deinit(&(*service)->pool);
        wire_codec_destroy(&(*service)->codec);
        free(*service);
    }
    *service = NULL;
}

static struct wire_bytes bytes_of(const char *text) {
    return (struct wire_bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

/* Encodes service->response into the connection's output. */
static void send_response(struct service *service, struct conn *conn) {
    const struct wire_response *response = &service->response;
    size_t cap = ANSWER_BASE_BYTES + response->n_items * ANSWER_ITEM_BYTES;
    cap = cap < FRAME_MAX_BYTES ? cap : FRAME_MAX_BYTES;
    uint8_t *out = conn_reserve(conn, cap);
    if (out == NULL) {
        return;
    }
    size_t n = wire_encode_response(response, out, cap);
    ensure(n, >, 0);
    conn_commit(conn, n);
}

static struct wire_response *new_response(struct service *service, uint64_t id, enum wire_call call) {
    struct wire_response *response = &service->response;
    response->id = id;
    response->call = call;
    response->status = WIRE_OK;
    response->message = response->payload = response->version = (struct wire_bytes){0};
    response->reservation_id = (struct wire_bytes){0};
    response->granted = false;
    response->n_items = 0;
    return response;
}

static void send_error(struct service *service, struct conn *conn, uint64_t id, enum wire_status status,
                       const char *message) {
    struct wire_response *response = new_response(service, id, WIRE_CALL_UNKNOWN);
    response->status = status;
    response->message = bytes_of(message);
    send_response(service, conn);
}

static void fill_item(struct wire_item *out, const struct answer *answer) {
    out->status = answer->status;
    out->message = answer->status == WIRE_OK ? (struct wire_bytes){0} : bytes_of(answer->message);
    if (answer->status == WIRE_OK) {
        out->decision = answer->decision;
    }
}

static void fill_response(struct wire_response *response, const struct request *request) {
    const struct answer *first = &request->items[0].answer;
    if (request->call == WIRE_CALL_CHECK_BATCH) {
        response->n_items = request->n_items;
        response->granted = request->is_granted;
        for (uint32_t i = 0; i < request->n_items; i++) {
            fill_item(&response->items[i], &request->items[i].answer);
        }
        return;
    }
    response->status = first->status;
    response->message = bytes_of(first->status == WIRE_OK ? "" : first->message);
    if (request->call == WIRE_CALL_REFUND || request->call == WIRE_CALL_SETTLE) {
        response->booked = first->booked;
        return;
    }
    response->n_items = 1;
    fill_item(&response->items[0], first);
    if (request->call == WIRE_CALL_RESERVE && answer_allows(first)) {
        response->reservation_id = (struct wire_bytes){first->reservation_id, sizeof first->reservation_id};
    }
}

/* Every item is concluded: sends the answer, unless nobody waits for it, and gives the request back. */
static void answer(struct service *service, struct request *request) {
    struct conn *conn = request->conn;
    if (conn == NULL) {
        metric_inc(&service->metrics->orphaned);
    } else {
        fill_response(new_response(service, request->id, request->call), request);
        list_remove(&request->in_conn);
        send_response(service, conn);
        if (request->is_counted && conn->state != CONN_CLOSED) {
            conn_count_inflight(conn, -(int32_t)request->n_items);
        }
    }
    request_return(&service->pool, &request);
}

/* ---- all or nothing ---- */

static void service_on_call_done(struct limiter_call *call);

/* What the item took is back where it was, or nobody can say so. */
static void conclude_undo(struct request_item *item) {
    if (item->call.outcome == LIMITER_DECIDED) {
        item->answer.decision.granted = 0;
    }
}

static void start_undo(struct service *service, struct request_item *item, int64_t now_us) {
    const struct limiter_call taken = item->call;
    item->call = (struct limiter_call){
        .tenant = taken.tenant,
        .resource = taken.resource,
        .key = taken.key,
        .kind = LIMITER_REFUND,
        .cost_tokens = (int64_t)item->answer.decision.granted,
        .is_undo = true,
        .undo_source = taken.decision.source,
        .undo_is_from_purse = taken.decision.is_from_purse,
        .deadline_us = taken.deadline_us,
        .done = service_on_call_done,
    };
    metric_inc(&service->metrics->returned);
    if (limiter_check(service->limiter, &item->call, now_us) == LIMITER_PENDING) {
        item->request->n_pending++;
    } else {
        conclude_undo(item);
    }
}

/* All checks of the batch are decided: is it granted? If not, what was taken goes back. */
static void decide_batch(struct service *service, struct request *request, int64_t now_us) {
    request->is_granted = true;
    for (uint32_t i = 0; i < request->n_items; i++) {
        request->is_granted = request->is_granted && answer_allows(&request->items[i].answer);
    }
    for (uint32_t i = 0; !request->is_granted && i < request->n_items; i++) {
        struct request_item *item = &request->items[i];
        if (answer_allows(&item->answer)) {
            answer_take_back(&item->answer);
            if (answer_has_taken(&item->answer)) {
                start_undo(service, item, now_us);
            }
        }
    }
}

/* Nothing is pending; true when the request can be answered, false when something is to be given back first. */
static bool is_over(struct service *service, struct request *request, int64_t now_us) {
    if (request->all_or_nothing) {
        request->all_or_nothing = false; /* it is decided once */
        decide_batch(service, request, now_us);
    }
    return request->n_pending == 0;
}

static void service_on_call_done(struct limiter_call *call) {
    struct request_item *item = list_entry(call, struct request_item, call);
    struct request *request = item->request;
    struct service *service = request->service;
    if (call->is_undo) {
        conclude_undo(item);
    } else {
        answer_set(&item->answer, call);
    }
    request->n_pending--;
    if (request->n_pending == 0 && is_over(service, request, clock_mono_us())) {
        metric_dec(&service->metrics->pending);
        answer(service, request);
    }
}

/* ---- starting ---- */

static struct bytes house_bytes(struct wire_bytes bytes) {
    return (struct bytes){.data = bytes.data, .len = bytes.len};
}

static enum limiter_kind kind_of(enum wire_call call) {
    switch (call) {
    case WIRE_CALL_PEEK:
        return LIMITER_PEEK;
    case WIRE_CALL_REFUND:
        return LIMITER_REFUND;
    case WIRE_CALL_RESERVE:
        return LIMITER_RESERVE;
    case WIRE_CALL_SETTLE:
        return LIMITER_SETTLE;
    case WIRE_CALL_UNKNOWN:
    case WIRE_CALL_CHECK:
    case WIRE_CALL_CHECK_BATCH:
    case WIRE_CALL_PING:
        break;
    }
    return LIMITER_CHECK;
}

/* Not all zero: that stands for a reservation that nothing is held for. */
static void draw_reservation_id(uint8_t id[WIRE_RESERVATION_ID_BYTES]) {
    uint64_t halves[] = {hash_random_seed(), hash_random_seed() | 1};
    _Static_assert(sizeof halves == WIRE_RESERVATION_ID_BYTES, "two halves");
    memcpy(id, halves, sizeof halves);
}

static void prepare_item(struct service *service, struct request_item *item, const struct wire_check *check) {
    const struct wire_request *wire = &service->request;
    struct limiter_call *call = &item->call;
    memset(call, 0, offsetof(struct limiter_call, claim));
    call->tenant = house_bytes(check->tenant);
    call->resource = house_bytes(check->resource);
    call->key = house_bytes(check->key);
    call->kind = kind_of(wire->call);
    call->cost_tokens = (int64_t)check->cost;
    call->at_most = check->at_most;
    call->idempotency_key = house_bytes(check->idempotency_key);
    call->ttl_us = (int64_t)wire->ttl_ms * 1000;
    call->returns_on_timeout = wire->on_timeout == WIRE_ON_TIMEOUT_RETURN;
    call->deadline_us = item->request->deadline_us;
    call->done = service_on_call_done;
    if (wire->call == WIRE_CALL_RESERVE) {
        draw_reservation_id(item->call.reservation);
    } else if (wire->call == WIRE_CALL_SETTLE) {
        memcpy(item->call.reservation, wire->reservation_id.data, sizeof item->call.reservation);
    }
}

static bool names_nothing(const struct limiter_call *call) {
    static const uint8_t nothing_held[WIRE_RESERVATION_ID_BYTES];
    return call->kind == LIMITER_SETTLE && memcmp(call->reservation, nothing_held, sizeof nothing_held) == 0;
}

/* Asks the limiter for one item, or refuses it. */
static void start_item(struct service *service, struct request_item *item, const struct wire_check *check,
                       int64_t now_us) {
    struct answer *answer = &item->answer;
    answer->status = wire_check_problem(service->request.call, check, answer->message, sizeof answer->message);
    if (answer->status != WIRE_OK) {
        metric_inc(&service->metrics->invalid);
    } else if (names_nothing(&item->call)) {
        answer_set_nothing_held(answer);
    } else if (limiter_check(service->limiter, &item->call, now_us) == LIMITER_PENDING) {
        item->request->n_pending++;
    } else {
        answer_set(answer, &item->call);
    }
}

/* A request for what was decoded, with its calls; NULL when memory is short. */
static struct request *make_request(struct service *service, struct conn *conn, int64_t now_us) {
    const struct wire_request *wire = &service->request;
    struct request *request = request_borrow(&service->pool, (uint32_t)wire->n_checks);
    if (request == NULL) {
        return NULL;
    }
    int64_t timeout_us =
        wire->timeout_ms > 0 ? (int64_t)wire->timeout_ms * 1000 : service->options.request_timeout_us;
    request->service = service;
    request->conn = conn;
    request->id = wire->id;
    request->call = wire->call;
    request->started_at_us = now_us;
    request->deadline_us = now_us + timeout_us;
    request->all_or_nothing = wire->all_or_nothing;
    for (uint32_t i = 0; i < request->n_items; i++) {
        request->items[i].request = request;
        prepare_item(service, &request->items[i], &wire->checks[i]);
    }
    if (request->all_or_nothing && !request_keep_names(request)) {
        request_return(&service->pool, &request);
    }
    return request;
}

/* A batch of which the first items are decided: their answers hold, and nothing was taken for the others. */
static void refuse_rest(struct service *service, struct conn *conn, uint32_t n_decided, const char *message) {
    const struct wire_request *wire = &service->request;
    struct wire_response *response = new_response(service, wire->id, wire->call);
    response->n_items = wire->n_checks;
    for (size_t i = n_decided; i < wire->n_checks; i++) {
        response->items[i].status = WIRE_RESOURCE_EXHAUSTED;
        response->items[i].message = bytes_of(message);
    }
    send_response(service, conn);
}

/* Calls for what was decoded, but for the first `n_decided` items, whose answers are written already. */
static void start_calls(struct service *service, struct conn *conn, uint32_t n_decided, int64_t now_us) {
    const struct wire_request *wire = &service->request;
    struct request *request = make_request(service, conn, now_us);
    if (request == NULL && n_decided > 0) {
        refuse_rest(service, conn, n_decided, short_of_memory);
        return;
    }
    if (request == NULL) {
        send_error(service, conn, wire->id, WIRE_RESOURCE_EXHAUSTED, short_of_memory);
        return;
    }
    list_push_back(&conn->requests, &request->in_conn);
    for (uint32_t i = 0; i < n_decided; i++) {
        answer_set_written(&request->items[i].answer, &service->response.items[i].decision);
    }
    if (service->is_found) {
        request->items[n_decided].call.is_found = true;
        request->items[n_decided].call.found = service->found;
    }
    for (uint32_t i = n_decided; i < request->n_items; i++) {
        start_item(service, &request->items[i], &wire->checks[i], now_us);
    }
    if (request->n_pending == 0 && is_over(service, request, now_us)) {
        answer(service, request);
    } else {
        metric_inc(&service->metrics->pending);
        request->is_counted = true;
        conn_count_inflight(conn, (int32_t)request->n_items);
    }
}

/* ---- what needs no call ---- */

/* In order, and without a wish. Names come in runs, and are judged once. */
static bool is_plain(const struct service *service, const struct wire_check *check) {
    if (check->at_most || !wire_check_is_good_but_for_names(check)) {
        return false;
    }
    char message[WIRE_MESSAGE_MAX_BYTES];
    return limiter_knows(service->limiter, house_bytes(check->tenant), house_bytes(check->resource)) ||
           wire_check_problem(WIRE_CALL_CHECK, check, message, sizeof message) == WIRE_OK;
}

/* Writes the answer to a plain check that is decided at once. */
static bool decide_item(struct service *service, const struct wire_check *check, struct wire_item *item,
                        int64_t now_us) {
    struct limiter_query query = {.tenant = house_bytes(check->tenant),
                                  .resource = house_bytes(check->resource),
                                  .key = house_bytes(check->key),
                                  .cost_tokens = (int64_t)check->cost};
    struct decision decision;
    service->is_found = is_plain(service, check);
    if (!service->is_found || !limiter_decide(service->limiter, &query, now_us, &service->found, &decision)) {
        return false;
    }
    service->is_found = false;
    item->status = WIRE_OK;
    item->message = (struct wire_bytes){0};
    answer_write(&decision, &item->decision);
    return true;
}

/* As many of the checks, from the first on, as are decided at once. */
static uint32_t decide_items(struct service *service, int64_t now_us) {
    const struct wire_request *wire = &service->request;
    bool is_check = wire->call == WIRE_CALL_CHECK || wire->call == WIRE_CALL_CHECK_BATCH;
    uint32_t n = 0;
    service->is_found = false;
    while (is_check && !wire->all_or_nothing && n < wire->n_checks &&
           decide_item(service, &wire->checks[n], &service->response.items[n], now_us)) {
        n++;
    }
    return n;
}

static void answer_checks(struct service *service, struct conn *conn, int64_t now_us) {
    const struct wire_request *wire = &service->request;
    uint32_t n_decided = decide_items(service, now_us);
    conn_count_started(conn, (uint32_t)wire->n_checks);
    if (n_decided < wire->n_checks) {
        start_calls(service, conn, n_decided, now_us);
        return;
    }
    new_response(service, wire->id, wire->call)->n_items = n_decided;
    send_response(service, conn);
}

static void answer_ping(struct service *service, struct conn *conn) {
    struct wire_response *response = new_response(service, service->request.id, WIRE_CALL_PING);
    response->payload = service->request.payload;
    response->version = bytes_of(service->options.version);
    send_response(service, conn);
}

static void count_request(struct service_metrics *metrics, enum wire_call call) {
    switch (call) {
    case WIRE_CALL_UNKNOWN:
        metric_inc(&metrics->unknown_requests);
        break;
    case WIRE_CALL_CHECK:
        metric_inc(&metrics->check_requests);
        break;
    case WIRE_CALL_CHECK_BATCH:
        metric_inc(&metrics->batch_requests);
        break;
    case WIRE_CALL_PEEK:
        metric_inc(&metrics->peek_requests);
        break;
    case WIRE_CALL_PING:
        metric_inc(&metrics->ping_requests);
        break;
    case WIRE_CALL_REFUND:
        metric_inc(&metrics->refund_requests);
        break;
    case WIRE_CALL_RESERVE:
        metric_inc(&metrics->reserve_requests);
        break;
    case WIRE_CALL_SETTLE:
        metric_inc(&metrics->settle_requests);
        break;
    }
}

/* Decodes a frame into service->request; false when it was answered with an error. */
static bool decode(struct service *service, struct conn *conn, const uint8_t *body, size_t n_bytes) {
    char message[WIRE_MESSAGE_MAX_BYTES];
    struct wire_request *request = &service->request;
    switch (wire_decode_request(service->codec, body, n_bytes, request)) {
    case WIRE_DECODED:
        break;
    case WIRE_MALFORMED:
        metric_inc(&service->metrics->malformed);
        send_error(service, conn, request->id, WIRE_INVALID_ARGUMENT,
                   "request: not a protobuf message of type Request");
        return false;
    case WIRE_BATCH_TOO_LARGE:
        metric_inc(&service->metrics->malformed);
        snprintf(message, sizeof message, "check_batch: more than %d checks", WIRE_BATCH_MAX);
        send_error(service, conn, request->id, WIRE_INVALID_ARGUMENT, message);
        return false;
    }
    count_request(service->metrics, request->call);
    enum wire_status problem = wire_request_problem(request, message, sizeof message);
    if (problem != WIRE_OK) {
        send_error(service, conn, request->id, problem, message);
        return false;
    }
    return true;
}

void service_on_frame(void *arg, struct conn *conn, const uint8_t *body, size_t n_bytes, int64_t now_us) {
    struct service *service = arg;
    if (!decode(service, conn, body, n_bytes)) {
        return;
    }
    if (service->request.call == WIRE_CALL_PING) {
        answer_ping(service, conn);
    } else {
        answer_checks(service, conn, now_us);
    }
}

void service_on_closed(void *arg, struct conn *conn) {
    (void)arg;
    struct list *node;
    while ((node = list_pop_front(&conn->requests)) != NULL) {
        list_entry(node, struct request, in_conn)->conn = NULL;
    }
}
