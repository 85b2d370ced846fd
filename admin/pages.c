/* pages.c — health and metrics. */
#include "admin/call.h"
#include "admin/handlers.h"

static const char plain_text[] = "text/plain; charset=utf-8";
static const char prometheus_text[] = "text/plain; version=0.0.4; charset=utf-8";

void page_livez(struct call *call) {
    call_answer_text(call, 200, plain_text, "alive\n");
}

void page_readyz(struct call *call) {
    struct backend *backend = call_backend(call);
    if (backend->ops->is_ready(backend)) {
        call_answer_text(call, 200, plain_text, "ready\n");
    } else {
        call_answer_text(call, 503, plain_text, "not ready: a worker has no connection to every Redis shard\n");
    }
}

void page_metrics(struct call *call) {
    struct backend *backend = call_backend(call);
    if (backend->ops->render_metrics(backend, &call->answer.body)) {
        call_answer_body(call, 200, prometheus_text);
    } else {
        call_answer_text(call, 500, plain_text, "out of memory\n");
    }
}
