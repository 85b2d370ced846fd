/* client_decision.h — turns a frontend's answer into the decisions that callers see.
 *
 * Pure: copies, keeps nothing, allocates nothing. */
#ifndef SLUICE_CLIENT_CLIENT_DECISION_H
#define SLUICE_CLIENT_CLIENT_DECISION_H

#include <stdbool.h>
#include <stddef.h>

#include "client/sluice.h"
#include "proto/wire.h"

/* Is this an answer that a call of `kind` that waits for so many decisions can get? An error always is. */
bool client_decision_fits(const struct wire_response *response, enum wire_call kind, size_t n_decisions);

/* Sets all of `decision` but for reservation_id, which is all zero, from one item of an answer. An item that is OK
 * but has no verdict becomes INTERNAL. */
void client_decision_read(struct sluice_decision *decision, const struct wire_item *item);

/* Sets all of `booking` from an answer to a refund or a settlement. */
void client_decision_read_booking(struct sluice_booking *booking, const struct wire_response *response);

/* Sets all of `decision`, or `booking`, where there is no answer. */
void client_decision_fail_booking(struct sluice_booking *booking, enum sluice_status status,
                                  const char *message);
void client_decision_fail(struct sluice_decision *decision, enum sluice_status status, const char *message);

/* Copies text into `to`, NUL-terminated, cut to `cap`. */
void client_decision_copy_text(char *to, size_t cap, struct wire_bytes text);

#endif
