/* outcome.c — what came of a call, as a line for people or as JSON; see outcome.h. */
#include "client/cmd/outcome.h"

#include <inttypes.h>
#include <string.h>

#include "client/cmd/report.h"
#include "client/cmd/show.h"
#include "client/cmd/target.h"
#include "server/core/bucket.h"

struct outcome_id outcome_show_id(const uint8_t id[SLUICE_RESERVATION_BYTES]) {
    struct outcome_id shown;
    for (size_t i = 0; i < SLUICE_RESERVATION_BYTES; i++) {
        snprintf(shown.text + 2 * i, 3, "%02x", id[i]);
    }
    return shown;
}

/* -1 when it is none. */
static int digit_of(char c) {
    static const char digits[] = "0123456789abcdef";
    const char *at = c != '\0' ? strchr(digits, c | (c >= 'A' && c <= 'F' ? 0x20 : 0)) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

bool outcome_read_id(const char *text, uint8_t id[SLUICE_RESERVATION_BYTES]) {
    if (strlen(text) != OUTCOME_ID_DIGITS) {
        return false;
    }
    for (size_t i = 0; i < SLUICE_RESERVATION_BYTES; i++) {
        int high = digit_of(text[2 * i]), low = digit_of(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        id[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* A wait that no clock will see the end of: the cost is above the burst. */
static bool is_never(uint64_t us) {
    return us >= (uint64_t)BUCKET_MAX_EXACT;
}

/* Of a decision that no bucket made; false when one did. */
static bool print_without_bucket(FILE *out, const struct sluice_decision *decision, const char *shadow) {
    if (decision->source == SLUICE_SOURCE_CALLER) {
        fprintf(out, "  source caller: %s\n", decision->message);
        return true;
    }
    if (!decision->matched) {
        fputs("  no quota matches\n", out);
        return true;
    }
    if (decision->source == SLUICE_SOURCE_NONE) {
        bool is_banned = decision->limit_name[0] != '\0';
        fprintf(out, "  %s%s\n", is_banned ? "banned: the rate is 0" : "unlimited", shadow);
        return true;
    }
    return false;
}

void outcome_print_decision(FILE *out, const struct sluice_decision *decision, bool is_granted_told) {
    const char *shadow = decision->would_deny ? ", would deny (shadow mode)" : "";
    fputs(decision->allowed ? "ALLOW" : "DENY", out);
    if (is_granted_told && decision->allowed) {
        fprintf(out, "  granted %" PRIu64, decision->granted);
    }
    if (decision->returned) {
        fputs("  returned: another check was denied", out);
    }
    if (print_without_bucket(out, decision, shadow)) {
        return;
    }
    fprintf(out, "  remaining %" PRIu64 "/%" PRIu64, decision->remaining, decision->limit);
    if (!decision->allowed && is_never(decision->retry_after_us)) {
        fputs("  never granted: the cost is above the burst", out);
    } else if (!decision->allowed && !decision->returned) {
        fprintf(out, "  retry after %s", show_duration(decision->retry_after_us).text);
    } else if (decision->wait_us > 0) {
        fprintf(out, "  wait %s", show_duration(decision->wait_us).text);
    }
    fprintf(out, "  reset %s  source %s%s%s%s\n", show_duration(decision->reset_after_us).text,
            sluice_source_text(decision->source), decision->degraded ? ", degraded" : "",
            decision->repeated ? ", repeated" : "", shadow);
}

json_t *outcome_make_decision(const struct sluice_decision *decision) {
    return json_pack(
        "{s:s, s:b, s:b, s:b, s:s, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, s:o*}", "decision",
        decision->allowed ? "allow" : "deny", "matched", decision->matched, "degraded", decision->degraded,
        "would_deny", decision->would_deny, "source", sluice_source_text(decision->source), "limit_name",
        report_make_json_text(decision->limit_name), "limit", (json_int_t)decision->limit, "remaining",
        (json_int_t)decision->remaining, "retry_after_us", (json_int_t)decision->retry_after_us,
        "reset_after_us", (json_int_t)decision->reset_after_us, "wait_us", (json_int_t)decision->wait_us,
        "granted", (json_int_t)decision->granted, "repeated", decision->repeated, "returned",
        decision->returned, "message",
        decision->message[0] != '\0' ? report_make_json_text(decision->message) : NULL);
}

void outcome_print_booking(FILE *out, const struct sluice_booking *booking) {
    if (booking->degraded) {
        fputs("BOOKED  nothing was held\n", out);
    } else if (!booking->matched) {
        fputs("BOOKED  nothing: no quota matches\n", out);
    } else if (booking->limit_name[0] == '\0') {
        fputs("BOOKED  nothing: the quota has no bucket\n", out);
    } else {
        fprintf(out, "BOOKED  returned %" PRIu64 "  taken %" PRIu64 "  remaining %" PRIu64 "/%" PRIu64 "%s\n",
                booking->returned, booking->taken, booking->remaining, booking->limit,
                booking->repeated ? "  repeated" : "");
    }
}

json_t *outcome_make_booking(const struct sluice_booking *booking) {
    return json_pack("{s:b, s:b, s:b, s:I, s:I, s:o, s:I, s:I}", "matched", booking->matched, "repeated",
                     booking->repeated, "degraded", booking->degraded, "returned",
                     (json_int_t)booking->returned, "taken", (json_int_t)booking->taken, "limit_name",
                     report_make_json_text(booking->limit_name), "limit", (json_int_t)booking->limit,
                     "remaining", (json_int_t)booking->remaining);
}

void outcome_print_failure(FILE *err, const char *command, enum sluice_status status, const char *message) {
    fprintf(err, "sluice %s: %s: %s%s\n", command, sluice_status_text(status), message,
            target_advice(status, message));
}

bool outcome_tell_booking(const char *command, const struct sluice_booking *booking, bool is_json) {
    if (booking->status != SLUICE_OK) {
        outcome_print_failure(stderr, command, booking->status, booking->message);
        return false;
    }
    if (!is_json) {
        outcome_print_booking(stdout, booking);
    } else if (!report_print_json(stdout, outcome_make_booking(booking))) {
        fprintf(stderr, "sluice %s: out of memory\n", command);
        return false;
    }
    return true;
}
