/* option.h — a program's options, declared once as a list, kept in a struct, set from text.
 *
 * An owner writes one macro list, X(name, TYPE, "default", min, max, is_reloadable, "form", "sentence"), and gets
 * from it the fields of its struct (OPTION_FIELD) and the table that describes them (OPTION_SPEC):
 *
 *   TYPE             field                    text                         min and max
 *   PATH             char *name               a file's path, or nothing    its length in bytes
 *   TEXT             char *name               anything, or nothing         its length in bytes
 *   ADDRESS          struct option_address    host:port or [v6]:port       the port
 *   ADDRESS_OR_OFF   struct option_address    the same, or "off"           the port
 *   ADDRESSES        char *name               addresses, comma-separated   the port
 *   INTEGER          int64_t name             10                           the number
 *   BYTES            int64_t name             64KiB                        bytes
 *   DURATION         int64_t name_us          250ms                        microseconds
 *   CHOICE           int64_t name             a word of the form "a|b|c"   not used; the value is its place
 *
 * Where the text comes from (flag, variable, file) and in which order is the owner's affair. Reasons are half
 * sentences; the owner puts the source and the option's name before them. One thread. */
#ifndef SLUICE_BASE_OPTION_H
#define SLUICE_BASE_OPTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/status.h"

enum { OPTION_HOST_BYTES = 254, OPTION_SHOWN_BYTES = 320 };

struct option_address {
    bool is_off;
    uint16_t port;                /* 0: the kernel chooses */
    char host[OPTION_HOST_BYTES]; /* a name or numeric, without brackets */
};

enum option_type {
    OPTION_PATH,
    OPTION_TEXT,
    OPTION_ADDRESS,
    OPTION_ADDRESS_OR_OFF,
    OPTION_ADDRESSES,
    OPTION_INTEGER,
    OPTION_BYTES,
    OPTION_DURATION,
    OPTION_CHOICE,
};

struct option_spec {
    const char *name; /* "request_timeout" */
    enum option_type type;
    size_t offset; /* of its field in the struct */
    const char *default_text;
    int64_t min, max;
    bool is_reloadable;
    const char *form; /* what stands for the value in the help text */
    const char *help;
};

/* The macros by type: the field's C type, and its name. */
#define OPTION_CTYPE_PATH char *
#define OPTION_CTYPE_TEXT char *
#define OPTION_CTYPE_ADDRESS struct option_address
#define OPTION_CTYPE_ADDRESS_OR_OFF struct option_address
#define OPTION_CTYPE_ADDRESSES char *
#define OPTION_CTYPE_INTEGER int64_t
#define OPTION_CTYPE_BYTES int64_t
#define OPTION_CTYPE_DURATION int64_t
#define OPTION_CTYPE_CHOICE int64_t
#define OPTION_MEMBER_PATH(name) name
#define OPTION_MEMBER_TEXT(name) name
#define OPTION_MEMBER_ADDRESS(name) name
#define OPTION_MEMBER_ADDRESS_OR_OFF(name) name
#define OPTION_MEMBER_ADDRESSES(name) name
#define OPTION_MEMBER_INTEGER(name) name
#define OPTION_MEMBER_BYTES(name) name
#define OPTION_MEMBER_DURATION(name) name##_us
#define OPTION_MEMBER_CHOICE(name) name

#define OPTION_FIELD(name, type, default_text, min, max, is_reloadable, form, help)                            \
    OPTION_CTYPE_##type OPTION_MEMBER_##type(name);

/* One row of the table for options that live in `owner`, a struct's type. */
#define OPTION_SPEC(owner, name, type, default_text, min, max, is_reloadable, form, help)                      \
    {#name, OPTION_##type, offsetof(owner, OPTION_MEMBER_##type(name)), default_text, min, max, is_reloadable, \
     form,  help},

/* Sets the option's field in `target` from text. On false the field keeps its value. */
bool option_set(const struct option_spec *spec, void *target, struct bytes text, struct status *status)
    __attribute__((warn_unused_result));
/* The value as text that option_set takes again; "" for an empty path or text. Cut when longer than `cap` - 1. */
void option_show(const struct option_spec *spec, const void *target, char *out, size_t cap);
/* What it takes: "integer, 1 to 64". */
void option_show_type(const struct option_spec *spec, char *out, size_t cap);

/* Sets every option to its default. `target` must be all zero. False when memory is short. */
bool options_set_defaults(const struct option_spec *specs, size_t n_specs, void *target, struct status *status)
    __attribute__((warn_unused_result));
/* Frees what the fields hold and nulls it; an all-zero target is fine. */
void options_deinit(const struct option_spec *specs, size_t n_specs, void *target);
/* NULL when there is none of this name. */
const struct option_spec *options_find(const struct option_spec *specs, size_t n_specs, struct bytes name);

/* Reads one address with a port of at least `min_port`. */
bool option_read_address(struct bytes text, int64_t min_port, struct option_address *address,
                         struct status *status) __attribute__((warn_unused_result));

/* Finds the name that somebody may have meant: of those offered, the closest within two edits. */
struct option_guess {
    struct bytes wanted;
    const char *best; /* NULL: nothing is close */
    size_t distance;
};
void option_guess_offer(struct option_guess *guess, const char *name);

#endif
