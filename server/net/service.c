/* service.c — turns frames into checks and decisions into frames; see service.h for the path. */
#include "server/net/service.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/frame.h"
#include "proto/wire.h"
#include "server/base/ensure.h"
#include "server/net/request.h"

/* The contract's limits are the house's: a check that passes wire_check_problem fits everywhere below. */
_Static_assert((int)WIRE_TENANT_MAX_BYTES == (int)QUOTA_TENANT_MAX_BYTES, "tenant");
_Static_assert((int)WIRE_RESOURCE_MAX_BYTES == (int)QUOTA_RESOURCE_MAX_BYTES, "resource");
_Static_assert((int)WIRE_KEY_MAX_BYTES == (int)QUOTA_KEY_MAX_BYTES, "key");
_Static_assert(WIRE_COST_MAX == BUCKET_MAX_TOKENS, "cost");
_Static_assert((int)WIRE_SOURCE_EMBEDDED == (int)DECISION_EMBEDDED, "sources are numbered alike");

enum { ANSWER_BASE_BYTES = 1024, ANSWER_ITEM_BYTES = 384 };

struct service {
    struct service_options options;
    struct limiter *limiter;
    struct service_metrics *metrics;
    struct wire_codec *codec;
    struct request_pool pool;
    struct wire_request request;   /* scratch, valid while a frame is looked at */
    struct wire_response response; /* scratch, valid while an answer is encoded */
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

static void fill_decision(struct wire_decision *out, const struct decision *decision) {
    *out = (struct wire_decision){
        .verdict = decision->allowed ? WIRE_ALLOW : WIRE_DENY,
        .source = (enum wire_source)decision->source,
        .matched = decision->matched,
        .limit_name = bytes_of(decision->limit_name),
        .limit = (uint64_t)decision->limit_tokens,
        .remaining = (uint64_t)decision->remaining_tokens,
        .retry_after_us = (uint64_t)decision->retry_after_us,
        .reset_after_us = (uint64_t)decision->reset_after_us,
        .wait_us = (uint64_t)decision->wait_us,
        .degraded = decision->degraded,
        .would_deny = decision->would_deny,
    };
}

/* Takes over what came of an asked limiter: sets the item's status and message. */
static void conclude_item(struct request_item *item) {
    const struct limiter_call *call = &item->call;
    item->status = call->outcome == LIMITER_DECIDED ? WIRE_OK : WIRE_RESOURCE_EXHAUSTED;
    if (item->status != WIRE_OK) {
        snprintf(item->message, sizeof item->message, "%s", store_outcome_text(call->store_outcome));
    }
}

static void fill_item(struct wire_item *out, const struct request_item *item) {
    out->status = item->status;
    if (item->status == WIRE_OK) {
        out->message = (struct wire_bytes){0};
        fill_decision(&out->decision, &item->call.decision);
    } else {
        out->message = bytes_of(item->message);
    }
}

/* Every item is concluded: sends the answer, unless nobody waits for it, and gives the request back. */
static void answer(struct service *service, struct request *request) {
    struct conn *conn = request->conn;
    if (conn == NULL) {
        metric_inc(&service->metrics->orphaned);
    } else {
        struct wire_response *response = new_response(service, request->id, request->call);
        response->n_items = request->n_items;
        for (uint32_t i = 0; i < request->n_items; i++) {
            fill_item(&response->items[i], &request->items[i]);
        }
        if (request->call != WIRE_CALL_CHECK_BATCH) {
            response->status = response->items[0].status;
            response->message = response->items[0].message;
        }
        list_remove(&request->in_conn);
        send_response(service, conn);
        if (request->is_counted && conn->state != CONN_CLOSED) {
            conn_count_inflight(conn, -(int32_t)request->n_items);
        }
    }
    request_return(&service->pool, &request);
}

static void service_on_call_done(struct limiter_call *call) {
    struct request_item *item = list_entry(call, struct request_item, call);
    struct request *request = item->request;
    struct service *service = request->service;
    conclude_item(item);
    request->n_pending--;
    if (request->n_pending == 0) {
        metric_dec(&service->metrics->pending);
        answer(service, request);
    }
}

static struct bytes house_bytes(struct wire_bytes bytes) {
    return (struct bytes){.data = bytes.data, .len = bytes.len};
}

/* Asks the limiter for one item, or refuses it. */
static void start_item(struct service *service, struct request_item *item, const struct wire_check *check,
                       int64_t now_us) {
    struct request *request = item->request;
    item->status = wire_check_problem(check, item->message, sizeof item->message);
    if (item->status != WIRE_OK) {
        metric_inc(&service->metrics->invalid);
        return;
    }
    item->call = (struct limiter_call){
        .tenant = house_bytes(check->tenant),
        .resource = house_bytes(check->resource),
        .key = house_bytes(check->key),
        .cost_tokens = (int64_t)check->cost,
        .kind = service->request.call == WIRE_CALL_PEEK ? LIMITER_PEEK : LIMITER_CHECK,
        .deadline_us = request->deadline_us,
        .done = service_on_call_done,
    };
    if (limiter_check(service->limiter, &item->call, now_us) == LIMITER_PENDING) {
        request->n_pending++;
    } else {
        conclude_item(item);
    }
}

static void start_checks(struct service *service, struct conn *conn, int64_t now_us) {
    const struct wire_request *wire = &service->request;
    struct request *request = request_borrow(&service->pool, (uint32_t)wire->n_checks);
    if (request == NULL) {
        send_error(service, conn, wire->id, WIRE_RESOURCE_EXHAUSTED, "the frontend is short of memory");
        return;
    }
    int64_t timeout_us =
        wire->timeout_ms > 0 ? (int64_t)wire->timeout_ms * 1000 : service->options.request_timeout_us;
    request->service = service;
    request->conn = conn;
    request->id = wire->id;
    request->call = wire->call == WIRE_CALL_PEEK ? WIRE_CALL_CHECK : wire->call;
    request->started_at_us = now_us;
    request->deadline_us = now_us + timeout_us;
    list_push_back(&conn->requests, &request->in_conn);
    conn_count_started(conn, request->n_items);
    for (uint32_t i = 0; i < request->n_items; i++) {
        request->items[i].request = request;
        start_item(service, &request->items[i], &wire->checks[i], now_us);
    }
    if (request->n_pending == 0) {
        answer(service, request);
    } else {
        metric_inc(&service->metrics->pending);
        request->is_counted = true;
        conn_count_inflight(conn, (int32_t)request->n_items);
    }
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
        start_checks(service, conn, now_us);
    }
}

void service_on_closed(void *arg, struct conn *conn) {
    (void)arg;
    struct list *node;
    while ((node = list_pop_front(&conn->requests)) != NULL) {
        list_entry(node, struct request, in_conn)->conn = NULL;
    }
}
