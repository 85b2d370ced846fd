/* client_call.c — the calls a client has accepted and not finished yet; see client_call.h. */
#include "client/client_call.h"

#include <stdlib.h>

enum { MIN_CAP = 64 };

/* An id is a serial number times CLIENT_CALLS_MAX plus the call's place. */
static uint32_t place_of(uint64_t id) {
    return (uint32_t)(id % CLIENT_CALLS_MAX);
}

void client_calls_init(struct client_calls *calls) {
    *calls = (struct client_calls){0};
    list_init(&calls->free);
}

void client_calls_deinit(struct client_calls *calls) {
    for (uint32_t i = 0; i < calls->n_calls; i++) {
        free(calls->calls[i]);
    }
    free(calls->calls);
    client_calls_init(calls);
}

static bool grow(struct client_calls *calls) {
    uint32_t cap = calls->cap == 0 ? MIN_CAP : calls->cap * 2;
    struct client_call **grown = reallocarray(calls->calls, cap, sizeof(void *));
    if (grown == NULL) {
        return false;
    }
    calls->calls = grown;
    calls->cap = cap;
    return true;
}

/* Adds one more call to the free ones. */
static bool add_call(struct client_calls *calls) {
    if (calls->n_calls == CLIENT_CALLS_MAX || (calls->n_calls == calls->cap && !grow(calls))) {
        return false;
    }
    struct client_call *call = calloc(1, sizeof *call);
    if (call == NULL) {
        return false;
    }
    call->magic = CLIENT_CALL_MAGIC;
    call->id = calls->n_calls;
    calls->calls[calls->n_calls++] = call;
    list_push_back(&calls->free, &call->node);
    return true;
}

struct client_call *client_calls_borrow(struct client_calls *calls) {
    if (list_is_empty(&calls->free) && !add_call(calls)) {
        return NULL;
    }
    struct client_call *call = list_entry(list_pop_front(&calls->free), struct client_call, node);
    call->id += CLIENT_CALLS_MAX;
    calls->n_borrowed++;
    return call;
}

void client_calls_return(struct client_calls *calls, struct client_call **call_p) {
    struct client_call *call = *call_p;
    *call_p = NULL;
    free(call->frame);
    free(call->message);
    call->frame = NULL;
    call->message = NULL;
    if (call->asks != &call->ask) {
        free(call->asks);
    }
    call->asks = NULL;
    call->server = NULL;
    call->frame_bytes = 0;
    call->n_retries = 0;
    call->is_counted = call->is_repeatable = call->all_or_nothing = false;
    call->booked = NULL;
    call->state = CLIENT_CALL_FREE;
    list_remove(&call->node);
    list_push_front(&calls->free, &call->node);
    calls->n_borrowed--;
}

bool client_call_is_harmless(const struct client_call *call) {
    return call->kind == WIRE_CALL_PEEK || call->kind == WIRE_CALL_PING;
}

const char *client_call_doubt(const struct client_call *call) {
    return call->booked != NULL ? "it may have been booked" : "the check may have been counted";
}

struct client_call *client_calls_find(const struct client_calls *calls, uint64_t id) {
    uint32_t place = place_of(id);
    if (place >= calls->n_calls) {
        return NULL;
    }
    struct client_call *call = calls->calls[place];
    return call->id == id && call->state != CLIENT_CALL_FREE ? call : NULL;
}
