/* option.c — a program's options, set from text and shown as text; see option.h. */
#include "server/base/option.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/units.h"

enum { OPTION_NAME_MAX_BYTES = 40, OPTION_GUESS_MAX_EDITS = 2, OPTION_LIST_MAX_BYTES = 4096 };

static const void *option_field(const struct option_spec *spec, const void *target) {
    return (const char *)target + spec->offset;
}

static void *option_field_change(const struct option_spec *spec, void *target) {
    return (char *)target + spec->offset;
}

static bool option_equals(struct bytes text, const char *word, size_t word_len) {
    return text.len == word_len && (word_len == 0 || memcmp(text.data, word, word_len) == 0);
}

static struct bytes option_bytes_of(const char *text) {
    return (struct bytes){.data = (const uint8_t *)text, .len = strlen(text)};
}

/* ---- texts ---- */

static bool option_set_string(char **field, struct bytes text, struct status *status) {
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < 0x20 || text.data[i] == 0x7f) {
            return status_fail(status, "'%s' has a control character", units_show_text(text).text);
        }
    }
    char *copy = malloc(text.len + 1);
    if (copy == NULL) {
        return status_fail(status, "out of memory");
    }
    if (text.len > 0) {
        memcpy(copy, text.data, text.len);
    }
    copy[text.len] = '\0';
    free(*field);
    *field = copy;
    return true;
}

static bool option_set_text(const struct option_spec *spec, char **field, struct bytes text,
                            struct status *status) {
    if ((int64_t)text.len < spec->min || (int64_t)text.len > spec->max) {
        return status_fail(status, "has %zu bytes; %" PRId64 " to %" PRId64 " are allowed", text.len, spec->min,
                           spec->max);
    }
    return option_set_string(field, text, status);
}

/* The place of the n-th word in "a|b|c"; false behind the last. */
static bool option_choice_at(const char *form, int64_t n, struct bytes *word) {
    const char *start = form;
    for (; n > 0 && start != NULL; n--) {
        start = strchr(start, '|');
        start = start != NULL ? start + 1 : NULL;
    }
    if (start == NULL) {
        return false;
    }
    *word = (struct bytes){.data = (const uint8_t *)start, .len = strcspn(start, "|")};
    return true;
}

static bool option_set_choice(const struct option_spec *spec, int64_t *field, struct bytes text,
                              struct status *status) {
    struct bytes word;
    for (int64_t n = 0; option_choice_at(spec->form, n, &word); n++) {
        if (option_equals(text, (const char *)word.data, word.len)) {
            *field = n;
            return true;
        }
    }
    return status_fail(status, "'%s' is not one of %s", units_show_text(text).text, spec->form);
}

/* ---- addresses ---- */

static bool option_is_name(struct bytes host) {
    for (size_t i = 0; i < host.len; i++) {
        uint8_t c = host.data[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!is_letter && !(c >= '0' && c <= '9') && c != '.' && c != '-' && c != '_') {
            return false;
        }
    }
    return host.len > 0;
}

/* Numeric in full, or a name that has a letter somewhere ("127.1" is neither). */
static bool option_is_host(struct bytes host, bool is_bracketed) {
    char text[OPTION_HOST_BYTES];
    uint8_t numeric[sizeof(struct in6_addr)];
    if (host.len >= sizeof text) {
        return false;
    }
    memcpy(text, host.data, host.len);
    text[host.len] = '\0';
    if (memchr(text, '\0', host.len) != NULL) {
        return false;
    }
    if (is_bracketed) {
        return inet_pton(AF_INET6, text, numeric) == 1;
    }
    return option_is_name(host) &&
           (strspn(text, "0123456789.") < host.len || inet_pton(AF_INET, text, numeric) == 1);
}

/* Splits "host:port" or "[host]:port" at the last colon; `why` gets a hint when it cannot. */
static bool option_split_address(struct bytes text, struct bytes *host, struct bytes *port, bool *is_bracketed,
                                 const char **why) {
    const uint8_t *colon = text.len > 0 ? memrchr(text.data, ':', text.len) : NULL;
    *why = "the port is missing";
    if (colon == NULL) {
        return false;
    }
    *host = (struct bytes){.data = text.data, .len = (size_t)(colon - text.data)};
    *port = (struct bytes){.data = colon + 1, .len = text.len - host->len - 1};
    *is_bracketed = host->len >= 2 && host->data[0] == '[' && host->data[host->len - 1] == ']';
    if (*is_bracketed) {
        host->data++;
        host->len -= 2;
    }
    *why = "an IPv6 address stands in brackets, as in [::1]:7380";
    if (!*is_bracketed && memchr(host->data, ':', host->len) != NULL) {
        return false;
    }
    *why = "the host is missing; 0.0.0.0 or [::] stands for every interface";
    return host->len > 0;
}

bool option_read_address(struct bytes text, int64_t min_port, struct option_address *address,
                         struct status *status) {
    static const char wrong[] = "'%s' is not an address, such as 127.0.0.1:7380 (%s)";
    struct bytes host, port;
    bool is_bracketed;
    const char *why;
    struct status reason;
    int64_t number;
    if (!option_split_address(text, &host, &port, &is_bracketed, &why)) {
        return status_fail(status, wrong, units_show_text(text).text, why);
    }
    if (!option_is_host(host, is_bracketed)) {
        return status_fail(status, wrong, units_show_text(text).text, "the host is neither a name nor numeric");
    }
    if (!units_read_integer(port, min_port, UINT16_MAX, &number, &reason)) {
        return status_fail(status, "'%s': port: %s", units_show_text(text).text, reason.text);
    }
    *address = (struct option_address){.port = (uint16_t)number};
    memcpy(address->host, host.data, host.len);
    return true;
}

static bool option_set_address(const struct option_spec *spec, struct option_address *field, struct bytes text,
                               struct status *status) {
    if (spec->type == OPTION_ADDRESS_OR_OFF && option_equals(text, "off", 3)) {
        *field = (struct option_address){.is_off = true};
        return true;
    }
    return option_read_address(text, spec->min, field, status);
}

static bool option_set_addresses(const struct option_spec *spec, char **field, struct bytes text,
                                 struct status *status) {
    if (text.len > OPTION_LIST_MAX_BYTES) {
        return status_fail(status, "has %zu bytes; at most %d are allowed", text.len,
                           (int)OPTION_LIST_MAX_BYTES);
    }
    size_t start = 0;
    while (text.len > 0 && start <= text.len) {
        const uint8_t *comma = start < text.len ? memchr(text.data + start, ',', text.len - start) : NULL;
        size_t end = comma != NULL ? (size_t)(comma - text.data) : text.len;
        struct option_address ignored;
        if (!option_read_address((struct bytes){text.data + start, end - start}, spec->min, &ignored, status)) {
            return false;
        }
        start = end + 1;
    }
    return option_set_string(field, text, status);
}

/* ---- one option ---- */

bool option_set(const struct option_spec *spec, void *target, struct bytes text, struct status *status) {
    void *field = option_field_change(spec, target);
    switch (spec->type) {
    case OPTION_PATH:
    case OPTION_TEXT:
        return option_set_text(spec, field, text, status);
    case OPTION_ADDRESS:
    case OPTION_ADDRESS_OR_OFF:
        return option_set_address(spec, field, text, status);
    case OPTION_ADDRESSES:
        return option_set_addresses(spec, field, text, status);
    case OPTION_INTEGER:
        return units_read_integer(text, spec->min, spec->max, field, status);
    case OPTION_BYTES:
        return units_read_bytes(text, spec->min, spec->max, field, status);
    case OPTION_DURATION:
        return units_read_duration(text, spec->min, spec->max, field, status);
    case OPTION_CHOICE:
        return option_set_choice(spec, field, text, status);
    }
    return false;
}

void option_show(const struct option_spec *spec, const void *target, char *out, size_t cap) {
    const void *field = option_field(spec, target);
    switch (spec->type) {
    case OPTION_PATH:
    case OPTION_TEXT:
    case OPTION_ADDRESSES: {
        const char *text = *(char *const *)field;
        snprintf(out, cap, "%s", text != NULL ? text : "");
        break;
    }
    case OPTION_ADDRESS:
    case OPTION_ADDRESS_OR_OFF: {
        const struct option_address *address = field;
        bool is_v6 = strchr(address->host, ':') != NULL;
        if (address->is_off) {
            snprintf(out, cap, "off");
        } else {
            snprintf(out, cap, "%s%s%s:%u", is_v6 ? "[" : "", address->host, is_v6 ? "]" : "", address->port);
        }
        break;
    }
    case OPTION_INTEGER:
        snprintf(out, cap, "%" PRId64, *(const int64_t *)field);
        break;
    case OPTION_BYTES:
        snprintf(out, cap, "%s", units_show_bytes(*(const int64_t *)field).text);
        break;
    case OPTION_DURATION:
        snprintf(out, cap, "%s", units_show_duration(*(const int64_t *)field).text);
        break;
    case OPTION_CHOICE: {
        struct bytes word = {0};
        option_choice_at(spec->form, *(const int64_t *)field, &word);
        snprintf(out, cap, "%s", units_show_text(word).text);
        break;
    }
    }
}

void option_show_type(const struct option_spec *spec, char *out, size_t cap) {
    switch (spec->type) {
    case OPTION_PATH:
        snprintf(out, cap, "path");
        break;
    case OPTION_TEXT:
        snprintf(out, cap, "text");
        break;
    case OPTION_ADDRESS:
        snprintf(out, cap, "address");
        break;
    case OPTION_ADDRESS_OR_OFF:
        snprintf(out, cap, "address or off");
        break;
    case OPTION_ADDRESSES:
        snprintf(out, cap, "addresses, comma-separated");
        break;
    case OPTION_INTEGER:
        snprintf(out, cap, "integer, %" PRId64 " to %" PRId64, spec->min, spec->max);
        break;
    case OPTION_BYTES:
        snprintf(out, cap, "bytes, %s to %s", units_show_bytes(spec->min).text,
                 units_show_bytes(spec->max).text);
        break;
    case OPTION_DURATION:
        snprintf(out, cap, "duration, %s to %s", units_show_duration(spec->min).text,
                 units_show_duration(spec->max).text);
        break;
    case OPTION_CHOICE:
        snprintf(out, cap, "one of");
        struct bytes word;
        for (int64_t n = 0; option_choice_at(spec->form, n, &word); n++) {
            size_t used = strlen(out);
            snprintf(out + used, cap - used, "%s%s", n > 0 ? ", " : " ", units_show_text(word).text);
        }
        break;
    }
}

/* ---- all options ---- */

bool options_set_defaults(const struct option_spec *specs, size_t n_specs, void *target,
                          struct status *status) {
    for (size_t i = 0; i < n_specs; i++) {
        if (!option_set(&specs[i], target, option_bytes_of(specs[i].default_text), status)) {
            return false;
        }
    }
    return true;
}

void options_deinit(const struct option_spec *specs, size_t n_specs, void *target) {
    for (size_t i = 0; i < n_specs; i++) {
        if (specs[i].type == OPTION_PATH || specs[i].type == OPTION_TEXT || specs[i].type == OPTION_ADDRESSES) {
            char **field = option_field_change(&specs[i], target);
            free(*field);
            *field = NULL;
        }
    }
}

const struct option_spec *options_find(const struct option_spec *specs, size_t n_specs, struct bytes name) {
    for (size_t i = 0; i < n_specs; i++) {
        if (option_equals(name, specs[i].name, strlen(specs[i].name))) {
            return &specs[i];
        }
    }
    return NULL;
}

/* Levenshtein's distance, row by row; names longer than OPTION_NAME_MAX_BYTES are far from everything. */
static size_t option_distance(struct bytes a, struct bytes b) {
    size_t row[OPTION_NAME_MAX_BYTES + 1];
    if (a.len > OPTION_NAME_MAX_BYTES || b.len > OPTION_NAME_MAX_BYTES) {
        return SIZE_MAX;
    }
    for (size_t j = 0; j <= b.len; j++) {
        row[j] = j;
    }
    for (size_t i = 0; i < a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i + 1;
        for (size_t j = 0; j < b.len; j++) {
            size_t changed = diagonal + (a.data[i] != b.data[j]);
            size_t dropped = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;
            diagonal = row[j + 1];
            row[j + 1] = changed < dropped ? changed : dropped;
        }
    }
    return row[b.len];
}

void option_guess_offer(struct option_guess *guess, const char *name) {
    size_t distance = option_distance(guess->wanted, option_bytes_of(name));
    if (distance <= OPTION_GUESS_MAX_EDITS && (guess->best == NULL || distance < guess->distance)) {
        guess->best = name;
        guess->distance = distance;
    }
}
