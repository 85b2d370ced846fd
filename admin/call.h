/* call.h — one call of the admin endpoint: who asks for what, and the answer that is made of it.
 *
 *   call_open ──> refused: answered
 *       └──────> call_take_body … ──> call_run ──> answered, or under way ──> answered (on_answer)
 *
 * Knows nothing of HTTP's bytes; http.c brings the head and the body and takes the answer away. One thread, that of
 * the loop. Handlers (handlers.h) use the second half of this header. */
#ifndef SLUICE_ADMIN_CALL_H
#define SLUICE_ADMIN_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/backend.h"
#include "admin/query.h"
#include "admin/routes.h"
#include "admin/tokens.h"
#include "server/base/buf.h"
#include "server/base/status.h"
#include "server/core/quota.h"

enum { CALL_FROM_BYTES = 64, CALL_HEADER_BYTES = 64, CALL_RETRY_AFTER_S = 1 };

/* What calls are judged by and answered from; outlives them. */
struct admin {
    struct backend *backend;
    const struct tokens *tokens; /* NULL: whoever reaches the endpoint is the operator "local" */
};

/* Texts are borrowed until call_open returns; NULL for a header that was not sent. */
struct call_head {
    const char *method;
    const char *target; /* path and query as they were sent */
    const char *from;   /* the peer's address */
    const char *authorization, *origin, *content_type, *content_length, *if_match, *if_none_match;
};

struct call;
typedef void (*call_answer_fn)(void *arg);

struct call_answer {
    unsigned int status; /* HTTP's; 0: there is no answer yet */
    const char *content_type;
    struct buf body;
    char etag[CALL_HEADER_BYTES]; /* "" for none, as the next */
    char allow[ROUTE_ALLOW_BYTES];
    unsigned int retry_after_s; /* 0: none */
    bool asks_for_token;        /* WWW-Authenticate is needed */
};

struct call {
    uint32_t magic;
    const struct admin *admin;
    const struct route *route;         /* NULL when there is none */
    struct bytes parts[ROUTE_N_PARTS]; /* decoded, in `room` */
    struct query query;
    struct buf body;
    bool has_if_match, has_if_none_match;
    char if_match[CALL_HEADER_BYTES], if_none_match[CALL_HEADER_BYTES]; /* cut */
    bool is_operator; /* and known by name: refusals go into the audit */
    char who[TOKEN_NAME_MAX_BYTES + 1], from[CALL_FROM_BYTES];
    uint8_t room[QUOTA_TENANT_MAX_BYTES + QUOTA_RESOURCE_MAX_BYTES + QUOTA_KEY_MAX_BYTES];
    struct call_answer answer;
    struct control_call *pending; /* what Redis is asked; NULL: nothing */
    struct hot_call *survey;      /* what the workers are asked; NULL: nothing */
    void *state;                  /* of the handler, freed with the call */
    call_answer_fn on_answer;     /* set by whoever waits for a call that is under way */
    void *arg;
};

/* Judges the head: path, token, parameters, headers. A call that it refuses is answered. NULL when memory is short.
 * `admin` must outlive the call. */
struct call *call_open(const struct admin *admin, const struct call_head *head);
/* Adds a piece of the body. What is more than the call may have is not kept, and the call is refused. */
void call_take_body(struct call *call, const void *bytes, size_t n_bytes);
/* The body is whole. Afterwards the call is answered, or it is under way and on_answer is called later. Calls that are
 * answered already stay as they are. */
void call_run(struct call *call);
/* Drops what is under way, and refuses the call with 503. Of a call that is under way alone. */
void call_give_up(struct call *call, const char *reason);
/* Frees the call, dropping what is under way, and nulls the pointer; NULL inside is fine. */
void call_close(struct call **call);

static inline bool call_is_answered(const struct call *call) {
    return call->answer.status != 0;
}

/* ---- for handlers ---- */

struct json_t;

/* The call behind the `arg` of a callback; ends what was under way. */
struct call *call_of(void *arg);

/* These answer; each call gets one answer. Memory that is short becomes a 500. */
void call_answer_text(struct call *call, unsigned int status, const char *content_type, const char *text);
/* Takes the value over; NULL stands for memory that is short. */
void call_answer_json(struct call *call, unsigned int status, struct json_t *value);
/* An answer whose body is there already. */
void call_answer_body(struct call *call, unsigned int status, const char *content_type);
void call_set_etag(struct call *call, uint64_t revision);

/* The body as JSON, in which no field is given twice: a new value. NULL: the call is refused. */
struct json_t *call_read_json(struct call *call);

/* Refuses: problem+json, and the audit if an operator asked for a change. `field` is what is wrong, NULL when that is
 * nothing in particular. */
void call_refuse(struct call *call, unsigned int status, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same with members of `more`, an object that is taken over, beside the usual ones. */
void call_refuse_with(struct call *call, unsigned int status, const char *field, struct json_t *more,
                      const char *reason);
/* With 400 and a reason that reads "field: reason". */
void call_refuse_field(struct call *call, const struct status *status);
/* With 503; Redis cannot, and a later attempt may find that it can. */
void call_refuse_unavailable(struct call *call, const char *reason);
/* The same for a change, of which it may be unknown whether it was made. */
void call_refuse_change(struct call *call, const struct control_change_result *result);
/* Keeps what the backend has under way, or refuses with 503 when it is NULL. */
void call_wait(struct call *call, struct control_call *pending, const struct status *status);

/* Keeps the survey that is under way, or refuses with 500 when it is NULL. */
void call_wait_survey(struct call *call, struct hot_call *survey);

struct control_asker call_asker(const struct call *call);
static inline struct backend *call_backend(const struct call *call) {
    return call->admin->backend;
}

#endif
