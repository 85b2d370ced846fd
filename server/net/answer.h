/* answer.h — what came of a limiter's call, as the wire says it.
 *
 * Copies all it keeps: a limiter's call lends its names only until it is done. Pure. */
#ifndef SLUICE_NET_ANSWER_H
#define SLUICE_NET_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/wire.h"
#include "server/limit/limiter.h"

struct answer {
    enum wire_status status;
    char message[WIRE_MESSAGE_MAX_BYTES]; /* when status is not WIRE_OK */
    union {                               /* when it is; their limit_name points into the answer's own */
        struct wire_decision decision;
        struct wire_booked booked; /* of refund and settle */
    };
    char limit_name[QUOTA_LIMIT_NAME_MAX_BYTES];
    uint8_t
        reservation_id[WIRE_RESERVATION_ID_BYTES]; /* of a reserve that is allowed; all zero: nothing is held */
};

/* Sets all of `answer`; the call is done. The answer must stay where it is. */
void answer_set(struct answer *answer, const struct limiter_call *call);

/* The decision as the wire says it; borrows its limit's name. */
void answer_write(const struct decision *decision, struct wire_decision *out);
/* A decision that was written, with its name copied. */
void answer_set_written(struct answer *answer, const struct wire_decision *decision);

/* To the settlement of a reservation that nothing was held for. */
void answer_set_nothing_held(struct answer *answer);

/* Is it a decision that allows? */
bool answer_allows(const struct answer *answer);

/* Has it taken tokens, which can be given back? */
bool answer_has_taken(const struct answer *answer);

/* Makes an allowing decision a denial, since another check of its batch was denied. What it took it still has. */
void answer_take_back(struct answer *answer);

#endif
