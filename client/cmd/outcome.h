/* outcome.h — what came of a call, as a line for people or as JSON.
 *
 * For the commands that make one call. Prints to the stream given; a failure to write shows at the program's end. */
#ifndef SLUICE_CLIENT_CMD_OUTCOME_H
#define SLUICE_CLIENT_CMD_OUTCOME_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "client/sluice.h"

enum { OUTCOME_ID_DIGITS = 2 * SLUICE_RESERVATION_BYTES };

/* A reservation's id in hexadecimal digits. */
struct outcome_id {
    char text[OUTCOME_ID_DIGITS + 1];
};
struct outcome_id outcome_show_id(const uint8_t id[SLUICE_RESERVATION_BYTES]);
/* False when it is not OUTCOME_ID_DIGITS hexadecimal digits. */
bool outcome_read_id(const char *text, uint8_t id[SLUICE_RESERVATION_BYTES]);

/* A decision that is SLUICE_OK, on a line of its own. `is_granted_told`: the caller may have got less than it asked for. */
void outcome_print_decision(FILE *out, const struct sluice_decision *decision, bool is_granted_told);
/* NULL when memory is short. */
json_t *outcome_make_decision(const struct sluice_decision *decision);

/* A booking that is SLUICE_OK, likewise. */
void outcome_print_booking(FILE *out, const struct sluice_booking *booking);
json_t *outcome_make_booking(const struct sluice_booking *booking);

/* Prints it, or why there is none; false when there is none, or memory is short. */
bool outcome_tell_booking(const char *command, const struct sluice_booking *booking, bool is_json);

/* "sluice check: UNAVAILABLE: ...", with what can be done about it. */
void outcome_print_failure(FILE *err, const char *command, enum sluice_status status, const char *message);

#endif
