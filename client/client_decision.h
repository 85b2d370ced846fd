/* client_decision.h — turns a frontend's answer into the decisions that callers see.
 *
 * Pure: copies, keeps nothing, allocates nothing. */
#ifndef SLUICE_CLIENT_CLIENT_DECISION_H
#define SLUICE_CLIENT_CLIENT_DECISION_H

#include <stdbool.h>
#include <stddef.h>

#include "client/sluice.h"
#include "proto/wire.h"

/* Is this an answer that a call of `kind` with so many checks can get? An error always is. */
bool client_decision_fits(const struct wire_response *response, enum wire_call kind, size_t n_checks);

/* Sets all of `decision` from one item of an answer. An item that is OK but has no verdict becomes INTERNAL. */
void client_decision_read(struct sluice_decision *decision, const struct wire_item *item);

/* Sets all of `decision` where there is no answer. */
void client_decision_fail(struct sluice_decision *decision, enum sluice_status status, const char *message);

/* Copies text into `to`, NUL-terminated, cut to `cap`. */
void client_decision_copy_text(char *to, size_t cap, struct wire_bytes text);

#endif
