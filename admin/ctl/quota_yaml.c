/* quota_yaml.c — writes quotas as a quota file, which quota/registry reads back. */
#include "admin/ctl/quota_bag.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "admin/ctl/field.h"

/* What other readers of YAML take for something else than a text. */
static bool is_reserved(const char *text) {
    static const char *const words[] = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcasecmp(text, words[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_plain(const char *text) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789.-";
    return text[0] != '\0' && strchr(letters, text[0]) != NULL && text[strspn(text, rest)] == '\0' &&
           !is_reserved(text);
}

/* What YAML forbids unescaped beside control characters, which no name has: DEL, C1 and the byte order mark. */
static size_t escape_bytes(const unsigned char *at) {
    bool is_c1 = at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0;
    bool is_mark = at[0] == 0xef && at[1] == 0xbb && at[2] == 0xbf;
    return at[0] < ' ' || at[0] == 0x7f ? 1 : is_c1 ? 2 : is_mark ? 3 : 0;
}

/* A name, in double quotes unless it needs none. */
static void write_name(const char *text, FILE *out) {
    if (is_plain(text)) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0';) {
        size_t n = escape_bytes(at);
        if (n == 0) {
            fprintf(out, "%s%c", *at == '"' || *at == '\\' ? "\\" : "", *at);
        } else {
            fprintf(out, "\\u%04x", n == 1 ? at[0] : n == 2 ? at[1] : 0xfeff);
        }
        at += n > 0 ? n : 1;
    }
    fputc('"', out);
}

static bool is_word(const json_t *object, const char *name, const char *word) {
    return strcmp(field_text(object, name), word) == 0;
}

/* "{ rate: 100/s, burst: 200 }": what is as it would be anyway is left out. */
static void write_limit(const json_t *limit, FILE *out) {
    bool needs_name = is_word(limit, "scope", "tenant") || is_word(limit, "scope", "global");
    fputs("{ ", out);
    if (needs_name || !is_word(limit, "name", field_text(limit, "algorithm"))) {
        fputs("name: ", out);
        write_name(field_text(limit, "name"), out);
        fputs(", ", out);
    }
    if (!is_word(limit, "algorithm", "token_bucket")) {
        fprintf(out, "algorithm: %s, ", field_text(limit, "algorithm"));
    }
    fprintf(out, "rate: %s", field_text(limit, "rate"));
    if (json_object_get(limit, "burst") != NULL) {
        fprintf(out, ", burst: %" PRId64, field_integer(limit, "burst"));
    }
    if (!is_word(limit, "scope", "key")) {
        fprintf(out, ", scope: %s", field_text(limit, "scope"));
    }
    fputs(" }", out);
}

/* In one line, or with more than one limit in a line for each. */
static void write_rules(const json_t *quota, FILE *out) {
    const json_t *limits = field_list(quota, "limits");
    bool is_long = json_array_size(limits) > 1;
    fputs(is_long ? "\n      limits:\n" : " { limits: [ ", out);
    for (size_t i = 0; i < json_array_size(limits); i++) {
        fputs(is_long ? "        - " : "", out);
        write_limit(json_array_get(limits, i), out);
        fputs(is_long ? "\n" : "", out);
    }
    fputs(is_long ? "" : " ]", out);
    static const char *const fields[][2] = {{"on_store_failure", "local"}, {"mode", "enforce"}};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (!is_word(quota, fields[i][0], fields[i][1])) {
            fprintf(out, is_long ? "      %s: %s\n" : ", %s: %s", fields[i][0],
                    field_text(quota, fields[i][0]));
        }
    }
    fputs(is_long ? "" : " }\n", out);
}

static bool write_quota(const struct quota_item *item, FILE *out) {
    json_t *quota = json_loads(item->text, 0, NULL);
    if (quota == NULL) {
        return false;
    }
    fputs("    ", out);
    write_name(item->resource, out);
    fputc(':', out);
    if (json_is_true(json_object_get(quota, "unlimited"))) {
        fputs(" { unlimited: true }\n", out);
    } else {
        write_rules(quota, out);
    }
    json_decref(quota);
    return true;
}

bool quota_bag_write_yaml(const struct quota_bag *bag, FILE *out) {
    fprintf(out, "default: %s\n\ntenants:%s\n", bag->is_deny ? "deny" : "allow", bag->n == 0 ? " {}" : "");
    for (size_t i = 0; i < bag->n; i++) {
        if (i == 0 || strcmp(bag->items[i - 1].tenant, bag->items[i].tenant) != 0) {
            fputs("  ", out);
            write_name(bag->items[i].tenant, out);
            fputs(":\n", out);
        }
        if (!write_quota(&bag->items[i], out)) {
            return false;
        }
    }
    return fflush(out) == 0 && ferror(out) == 0;
}
