/* log.h — one line per event, for operators, as text or JSON on standard error.
 *
 * error: an operator must act · warn: a request or a node suffered · info: lifecycle · debug: everything else.
 * Format and level are set once at start, before threads; writing is safe from any thread. */
#ifndef SLUICE_BASE_LOG_H
#define SLUICE_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_configure(enum log_level level, bool as_json);

/* Writes "time level room: sentence". `room` is the module's short name. */
void log_write(enum log_level level, const char *room, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Lets a repeated line through once in `every_us`; keep one struct for each place that may repeat. */
struct log_gate {
    int64_t next_at_us;
    uint64_t n_held_back;
};
/* True when the line may be written now; n_held_back then says how many were not, and starts anew. */
bool log_gate_open(struct log_gate *gate, int64_t now_us, int64_t every_us, uint64_t *n_held_back);

#endif
