/* ledger.h — how the quotas and the changes to them are written in Redis; lua/README.md tells it for others.
 *
 * What is read comes from the network and may have been written by a newer version: it is judged, never trusted.
 * Pure functions. */
#ifndef SLUICE_QUOTA_LEDGER_H
#define SLUICE_QUOTA_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/buf.h"
#include "server/base/bytes.h"
#include "server/store/redis_reply.h"

/* In one slot, like those of fleet.h. */
#define LEDGER_KEY_QUOTAS "{sluice}:quotas"
#define LEDGER_KEY_CHANGES "{sluice}:changes"

/* Fields of the hash that are no quota of (tenant, resource) have an empty tenant; these are the resources. */
#define LEDGER_DEFAULT "default"
#define LEDGER_SEEDING "seeding"

#define LEDGER_ANY_REVISION INT64_C(-1)

/* ---- what is read ---- */

/* One entry of the stream. A change has part 0; what was refused, or reset, after it has parts 1, 2, ... */
struct ledger_entry {
    uint64_t revision, part;
    int64_t at_ms;                      /* since 1970, by the clock of Redis */
    struct bytes what;                  /* put, delete, default, refused or reset */
    struct bytes who, from;             /* the name of the token, and the address of the peer */
    struct bytes tenant, resource, key; /* of a bucket that was reset; in a wider scope than key ... */
    struct bytes scope, limit;          /* ... these are its scope's word and its limit's name; else empty */
    struct bytes old, new;              /* quotas as JSON; of the default "allow" or "deny"; empty: none */
    struct bytes detail;                /* why it was refused */
};

/* Reads an entry as XRANGE and XREAD give it, borrowing from the reply; fields that are not known are passed over.
 * False when it is none. */
bool ledger_read_entry(const struct redis_reply *reply, struct ledger_entry *entry)
    __attribute__((warn_unused_result));

/* Splits a field of the hash. False when it is none. */
bool ledger_read_field(struct bytes field, struct bytes *tenant, struct bytes *resource)
    __attribute__((warn_unused_result));
/* Splits a value of the hash: a revision of 1 or more, a space, the quota as JSON. False when it is none. */
bool ledger_read_value(struct bytes value, uint64_t *revision, struct bytes *text)
    __attribute__((warn_unused_result));

bool ledger_is(struct bytes text, const char *word);

/* ---- what is written: the arguments of lua/quota_put.lua and lua/quota_note.lua ---- */

enum ledger_put_kind {
    LEDGER_PUT_CHANGES, /* all of them, or none */
    LEDGER_PUT_SEED,    /* into a store that has no quotas; what follows adds what is lacking */
    LEDGER_PUT_SEED_GOES_ON,
};

struct ledger_put {
    enum ledger_put_kind kind;
    bool is_followed; /* a seed: there is more to come */
    /* The first change gets a revision above this one. Unless it is a seed, the store must have come to it. */
    uint64_t above;
    struct bytes who, from;
};

/* Begins an argument; then each change is added. False when memory is short; `out` is then undefined. */
bool ledger_begin_put(const struct ledger_put *put, struct buf *out) __attribute__((warn_unused_result));
/* An empty `text` deletes. `if_revision` as in control.h. */
bool ledger_add_put(struct bytes tenant, struct bytes resource, struct bytes text, int64_t if_revision,
                    struct buf *out) __attribute__((warn_unused_result));

enum { LEDGER_NOTE_MAX_BYTES = 4096 }; /* of a text in a note; longer ones are cut */

/* Of the entry what, who, from, tenant, resource, key, scope, limit, new and detail. False when memory is short. */
bool ledger_write_note(const struct ledger_entry *note, struct buf *out) __attribute__((warn_unused_result));

#endif
