/* script.h — the Lua scripts as C sees them: their text, and the packed bytes they take and give.
 *
 * The texts are made by lua/embed.sh at build time; lua/README.md says what each script takes and replies.
 * Pure functions on the caller's bytes; replies come from the network and are judged, never trusted. */
#ifndef SLUICE_STORE_SCRIPT_H
#define SLUICE_STORE_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/core/bucket.h"

enum { SCRIPT_SHA1_BYTES = 40 };

struct script {
    const char *name; /* as the file in lua/ is called */
    const char *body; /* what SCRIPT LOAD and EVAL take; NUL-terminated */
    size_t body_bytes;
    uint32_t n_keys;                  /* it takes so many, and one argument */
    char sha1[SCRIPT_SHA1_BYTES + 1]; /* of the body, in lower-case hex: what EVALSHA takes */
};

/* EVALSHA script_check.sha1 1 RECORD_KEY ARGUMENT, ARGUMENT as packed below. */
extern const struct script script_check;
/* EVALSHA script_heartbeat.sha1 2 FLEET_KEY_SEEN FLEET_KEY_TOLD ARGUMENT, as server/quota/fleet.h writes it. */
extern const struct script script_heartbeat;
/* Each takes the 2 keys and the argument that lua/README.md names. */
extern const struct script script_fleet_list, script_quota_put, script_quota_note;

/* EVALSHA script_take.sha1 3 RECORD_KEY MEMO_KEY RESERVATION_KEY ARGUMENT, as script_take.h packs it; likewise
 * script_give. A key that has no use is the record's again. */
extern const struct script script_take, script_give;

/* Writes limits as every script takes them, SCRIPT_LIMIT_BYTES for each, and returns where they end. NULL: a limit's
 * count is 0. Windows are told the periods around `unix_us`; Redis' own time is in one of those, or the script asks for
 * others. */
enum { SCRIPT_LIMIT_BYTES = 28 };
uint8_t *script_limits_put(const struct bucket_limit *limits, uint32_t n_limits, int64_t unix_us, uint8_t *out);
/* Does a script ask for the periods around another time, Redis' own? Then it has changed nothing. */
bool script_tells_time(struct bytes reply, int64_t *unix_us) __attribute__((warn_unused_result));

enum {
    SCRIPT_CHECK_HEAD_BYTES = 9,
    SCRIPT_CHECK_LIMIT_BYTES = SCRIPT_LIMIT_BYTES,
    SCRIPT_CHECK_CHARGE_BYTES = 8,
    SCRIPT_CHECK_ARG_MAX_BYTES =
        SCRIPT_CHECK_HEAD_BYTES + BUCKET_MAX_LIMITS * (SCRIPT_CHECK_LIMIT_BYTES + SCRIPT_CHECK_CHARGE_BYTES),
};

struct script_check {
    const struct bucket_limit *limits;
    uint32_t n_limits;
    int64_t cost_tokens;
    int64_t unix_us; /* when it is, as far as is known here: only windows look at it */
    bool peek;
    const int64_t *charges_utok; /* of each limit, taken first; NULL: none */
};

/* Packs the argument of one check; SCRIPT_CHECK_ARG_MAX_BYTES always suffice. Returns its length; 0 when it
 * would exceed `cap`, or n_limits is not 1 ... BUCKET_MAX_LIMITS, or a limit's count is 0. */
size_t script_check_pack(const struct script_check *check, uint8_t *out, size_t cap);

/* Works out the verdict of a check from the script's reply, which holds the time and the record that stands; so
 * does `record`, dated from the time of the check, which is 0: at calendar_us it is in Unix time. False, and nothing is set, when it is no such
 * reply or contradicts the rules of bucket.h. */
bool script_check_parse(struct bytes reply, const struct script_check *check, struct bucket_verdict *verdict,
                        struct bucket_record *record) __attribute__((warn_unused_result));

enum {
    SCRIPT_RECORD_HEAD_BYTES = 9,
    SCRIPT_RECORD_LEVEL_BYTES = 12,
    SCRIPT_RECORD_MAX_BYTES = SCRIPT_RECORD_HEAD_BYTES + BUCKET_MAX_LIMITS * SCRIPT_RECORD_LEVEL_BYTES,
};

/* The record as Redis keeps it. Pack returns its length, at most SCRIPT_RECORD_MAX_BYTES. Parse returns false,
 * and an empty record, for bytes that no script wrote; the scripts take those for no record. */
size_t script_record_pack(const struct bucket_record *record, uint8_t out[SCRIPT_RECORD_MAX_BYTES]);
bool script_record_parse(struct bytes bytes, struct bucket_record *record);

#endif
