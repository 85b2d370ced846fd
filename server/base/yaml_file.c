/* yaml_file.c — a YAML file as a tree with lines and paths; see yaml_file.h.
 *
 * libyaml's events are turned into nodes as they come. Its document API would be shorter, but resolves aliases
 * silently and drops anchors and tags before anyone can refuse them. */
#include "server/base/yaml_file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "server/base/buf.h"
#include "server/base/units.h"

enum { YAML_PATH_BYTES = 256, YAML_REASON_BYTES = 320, YAML_READ_BYTES = 64 * 1024 };

struct yaml_entry {
    enum yaml_kind kind;
    uint32_t line;                /* of the key, or of the value when there is no key */
    uint32_t parent, first, next; /* places in the table of entries; 0: none */
    uint32_t key_start, key_len, text_start, text_len;
};

struct yaml_file {
    char *name;
    struct buf texts;   /* keys and texts, one after the other */
    struct buf entries; /* of struct yaml_entry; the first stands for no place */
};

static const struct yaml_entry *yaml_entry_at(const struct yaml_file *file, uint32_t index) {
    return (const struct yaml_entry *)(const void *)buf_front(&file->entries) + index;
}

static struct yaml_entry *yaml_entry_change(struct yaml_file *file, uint32_t index) {
    return (struct yaml_entry *)(void *)(file->entries.data + file->entries.start) + index;
}

static const struct yaml_entry *yaml_node_entry(struct yaml_node node) {
    return yaml_entry_at(node.file, node.index);
}

static struct bytes yaml_bytes(const struct yaml_file *file, uint32_t start, uint32_t len) {
    return (struct bytes){.data = len > 0 ? buf_front(&file->texts) + start : NULL, .len = len};
}

static bool yaml_bytes_are(struct bytes bytes, const char *word) {
    return bytes.len == strlen(word) && (bytes.len == 0 || memcmp(bytes.data, word, bytes.len) == 0);
}

/* ---- the tree, read ---- */

struct yaml_node yaml_file_root(const struct yaml_file *file) {
    return (struct yaml_node){.file = file, .index = yaml_entry_at(file, 0)->first};
}

bool yaml_node_exists(struct yaml_node node) {
    return node.index != 0;
}

enum yaml_kind yaml_node_kind(struct yaml_node node) {
    return yaml_node_entry(node)->kind;
}

struct bytes yaml_node_text(struct yaml_node node) {
    return yaml_bytes(node.file, yaml_node_entry(node)->text_start, yaml_node_entry(node)->text_len);
}

struct bytes yaml_node_key(struct yaml_node node) {
    return yaml_bytes(node.file, yaml_node_entry(node)->key_start, yaml_node_entry(node)->key_len);
}

struct yaml_node yaml_node_first(struct yaml_node node) {
    return (struct yaml_node){.file = node.file, .index = yaml_node_entry(node)->first};
}

struct yaml_node yaml_node_next(struct yaml_node node) {
    return (struct yaml_node){.file = node.file, .index = yaml_node_entry(node)->next};
}

static bool yaml_is_plain_name(struct bytes key) {
    for (size_t i = 0; i < key.len; i++) {
        uint8_t c = key.data[i];
        if (c <= ' ' || c == '.' || c == '"' || c == '*' || c == '[' || c == ']' || c == 0x7f) {
            return false;
        }
    }
    return key.len > 0;
}

/* Appends ".key" or "[3]", the node's part of its path; returns the new length, less than YAML_PATH_BYTES. */
static size_t yaml_path_append(struct yaml_node node, char *path, size_t used) {
    const struct yaml_entry *entry = yaml_node_entry(node);
    size_t room = YAML_PATH_BYTES - used;
    int n;
    if (yaml_entry_at(node.file, entry->parent)->kind == YAML_MAP) {
        struct bytes key = yaml_node_key(node);
        const char *quote = yaml_is_plain_name(key) ? "" : "\"";
        n = snprintf(path + used, room, "%s%s%s%s", used > 0 ? "." : "", quote, units_show_text(key).text,
                     quote);
    } else {
        unsigned place = 0;
        uint32_t index = yaml_entry_at(node.file, entry->parent)->first;
        for (; index != node.index; index = yaml_entry_at(node.file, index)->next) {
            place++;
        }
        n = snprintf(path + used, room, "[%u]", place);
    }
    return n < 0 || (size_t)n >= room ? YAML_PATH_BYTES - 1 : used + (size_t)n;
}

static void yaml_node_path(struct yaml_node node, char path[YAML_PATH_BYTES]) {
    uint32_t chain[YAML_FILE_MAX_DEPTH + 1];
    size_t n = 0, used = 0;
    for (uint32_t index = node.index; yaml_entry_at(node.file, index)->parent != 0; n++) {
        chain[n] = index;
        index = yaml_entry_at(node.file, index)->parent;
    }
    path[0] = '\0';
    while (n > 0) {
        used = yaml_path_append((struct yaml_node){.file = node.file, .index = chain[--n]}, path, used);
    }
}

int yaml_node_fail(struct yaml_node node, struct status *status, const char *format, ...) {
    char path[YAML_PATH_BYTES], reason[YAML_REASON_BYTES];
    yaml_node_path(node, path);
    va_list args;
    va_start(args, format);
    vsnprintf(reason, sizeof reason, format, args);
    va_end(args);
    return status_fail(status, "%s:%u: %s%s%s", node.file->name, yaml_node_entry(node)->line, path,
                       path[0] != '\0' ? ": " : "", reason);
}

bool yaml_node_expect(struct yaml_node node, enum yaml_kind kind, struct status *status) {
    static const char *const names[] = {[YAML_TEXT] = "a text", [YAML_LIST] = "a list", [YAML_MAP] = "a map"};
    const struct yaml_entry *entry = yaml_node_entry(node);
    bool is_empty = entry->first == 0 && entry->text_len == 0;
    if (kind != YAML_TEXT && is_empty) {
        return yaml_node_fail(node, status, "is empty; %s is needed", names[kind]);
    }
    if (entry->kind != kind) {
        return yaml_node_fail(node, status, "is %s; %s is needed", names[entry->kind], names[kind]);
    }
    return true;
}

static int yaml_node_fail_unknown(struct yaml_node node, const struct yaml_field *fields, size_t n_fields,
                                  struct status *status) {
    char names[YAML_REASON_BYTES / 2] = "";
    size_t used = 0;
    for (size_t i = 0; i < n_fields && used < sizeof names; i++) {
        int n = snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "", fields[i].name);
        used += n > 0 ? (size_t)n : 0;
    }
    return yaml_node_fail(node, status, "there is no such field here; the fields are: %s", names);
}

bool yaml_node_fields(struct yaml_node node, const struct yaml_field *fields, size_t n_fields,
                      struct yaml_node *values, struct status *status) {
    if (!yaml_node_expect(node, YAML_MAP, status)) {
        return false;
    }
    for (size_t i = 0; i < n_fields; i++) {
        values[i] = (struct yaml_node){.file = node.file, .index = 0};
    }
    for (struct yaml_node value = yaml_node_first(node); yaml_node_exists(value);
         value = yaml_node_next(value)) {
        struct bytes key = yaml_node_key(value);
        size_t i = 0;
        while (i < n_fields && !yaml_bytes_are(key, fields[i].name)) {
            i++;
        }
        if (i == n_fields) {
            return yaml_node_fail_unknown(value, fields, n_fields, status);
        }
        values[i] = value;
    }
    for (size_t i = 0; i < n_fields; i++) {
        if (fields[i].is_required && !yaml_node_exists(values[i])) {
            return yaml_node_fail(node, status, "'%s' is missing", fields[i].name);
        }
    }
    return true;
}

/* ---- the tree, built ---- */

/* A map or list that is not yet closed. */
struct yaml_open {
    uint32_t index, last; /* its place, and that of its last value */
    uint32_t n_values;
    bool has_key; /* of a map: the next event is the value of this key */
    uint32_t key_start, key_len, key_line;
};

struct yaml_builder {
    struct yaml_file *file;
    struct status *status;
    uint32_t line; /* of the event at hand */
    uint32_t n_documents;
    size_t depth;
    struct yaml_open open[YAML_FILE_MAX_DEPTH + 1]; /* the first stands for the document */
};

static bool yaml_builder_fail(struct yaml_builder *builder, const char *reason) {
    return status_fail(builder->status, "%s:%u: %s", builder->file->name, builder->line, reason);
}

static bool yaml_builder_keep(struct yaml_builder *builder, const void *text, size_t len, uint32_t *start,
                              uint32_t *kept_len) {
    *start = (uint32_t)buf_len(&builder->file->texts);
    *kept_len = (uint32_t)len;
    return buf_append(&builder->file->texts, text, len) || yaml_builder_fail(builder, "out of memory");
}

/* Adds a value to what is open; its place is left in open[depth].last. */
static bool yaml_builder_add(struct yaml_builder *builder, struct yaml_entry entry) {
    struct yaml_open *open = &builder->open[builder->depth];
    struct yaml_file *file = builder->file;
    uint32_t index = (uint32_t)(buf_len(&file->entries) / sizeof entry);
    entry.line = open->has_key ? open->key_line : builder->line;
    entry.parent = open->index;
    entry.key_start = open->key_start;
    entry.key_len = open->has_key ? open->key_len : 0;
    if (!buf_append(&file->entries, &entry, sizeof entry)) {
        return yaml_builder_fail(builder, "out of memory");
    }
    if (open->last == 0) {
        yaml_entry_change(file, open->index)->first = index;
    } else {
        yaml_entry_change(file, open->last)->next = index;
    }
    open->last = index;
    open->n_values++;
    open->has_key = false;
    return true;
}

static bool yaml_builder_expects_key(const struct yaml_builder *builder) {
    const struct yaml_open *open = &builder->open[builder->depth];
    return builder->depth > 0 && !open->has_key && yaml_entry_at(builder->file, open->index)->kind == YAML_MAP;
}

static bool yaml_builder_scalar(struct yaml_builder *builder, const yaml_event_t *event) {
    const yaml_char_t *text = event->data.scalar.value;
    size_t len = event->data.scalar.length;
    struct yaml_open *open = &builder->open[builder->depth];
    if (yaml_builder_expects_key(builder)) {
        open->has_key = true;
        open->key_line = builder->line;
        return yaml_builder_keep(builder, text, len, &open->key_start, &open->key_len);
    }
    bool is_absent = len == 0 && event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (builder->depth == 0 && is_absent) {
        return true; /* "---" and nothing else */
    }
    struct yaml_entry entry = {.kind = YAML_TEXT};
    return yaml_builder_keep(builder, text, len, &entry.text_start, &entry.text_len) &&
           yaml_builder_add(builder, entry);
}

static bool yaml_builder_open(struct yaml_builder *builder, enum yaml_kind kind) {
    if (yaml_builder_expects_key(builder)) {
        return yaml_builder_fail(builder, "a key must be a text");
    }
    if (builder->depth == YAML_FILE_MAX_DEPTH) {
        return yaml_builder_fail(builder, "maps and lists are nested too deeply");
    }
    if (!yaml_builder_add(builder, (struct yaml_entry){.kind = kind})) {
        return false;
    }
    uint32_t index = builder->open[builder->depth].last;
    builder->open[++builder->depth] = (struct yaml_open){.index = index};
    return true;
}

/* By key, then in the order of the file. */
static int yaml_compare_keys(const void *left, const void *right, void *arg) {
    const struct yaml_file *file = arg;
    uint32_t l = *(const uint32_t *)left, r = *(const uint32_t *)right;
    const struct yaml_entry *a = yaml_entry_at(file, l), *b = yaml_entry_at(file, r);
    if (a->key_len != b->key_len) {
        return a->key_len < b->key_len ? -1 : 1;
    }
    int order = 0;
    if (a->key_len > 0) { /* else there may be no text at all */
        const uint8_t *keys = buf_front(&file->texts);
        order = memcmp(keys + a->key_start, keys + b->key_start, a->key_len);
    }
    return order != 0 ? order : (l > r) - (l < r);
}

static bool yaml_builder_check_keys(struct yaml_builder *builder, const struct yaml_open *map) {
    struct yaml_file *file = builder->file;
    if (map->n_values < 2) {
        return true;
    }
    uint32_t *indices = malloc(map->n_values * sizeof *indices);
    if (indices == NULL) {
        return yaml_builder_fail(builder, "out of memory");
    }
    uint32_t index = yaml_entry_at(file, map->index)->first;
    for (uint32_t i = 0; i < map->n_values; i++) {
        indices[i] = index;
        index = yaml_entry_at(file, index)->next;
    }
    qsort_r(indices, map->n_values, sizeof *indices, yaml_compare_keys, file);
    bool is_unique = true;
    for (uint32_t i = 1; i < map->n_values && is_unique; i++) {
        struct yaml_node first = {file, indices[i - 1]}, again = {file, indices[i]};
        struct bytes a = yaml_node_key(first), b = yaml_node_key(again);
        is_unique = a.len != b.len || (a.len > 0 && memcmp(a.data, b.data, a.len) != 0) ||
                    yaml_node_fail(again, builder->status, "is given twice, first in line %u",
                                   yaml_entry_at(file, first.index)->line);
    }
    free(indices);
    return is_unique;
}

static bool yaml_builder_refuse_extras(struct yaml_builder *builder, const yaml_char_t *anchor,
                                       const yaml_char_t *tag) {
    if (anchor != NULL) {
        return yaml_builder_fail(builder, "anchors (&name) are not supported");
    }
    return tag == NULL || yaml_builder_fail(builder, "tags (!name) are not supported");
}

/* Takes one event of the parser; false with the reason when the file is refused. */
static bool yaml_builder_take(struct yaml_builder *builder, const yaml_event_t *event) {
    builder->line = (uint32_t)event->start_mark.line + 1;
    switch (event->type) {
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return true;
    case YAML_DOCUMENT_START_EVENT:
        return ++builder->n_documents == 1 || yaml_builder_fail(builder, "more than one document in the file");
    case YAML_ALIAS_EVENT:
        return yaml_builder_fail(builder,
                                 "aliases (*name) are not supported; quote a text that begins with '*'");
    case YAML_SCALAR_EVENT:
        return yaml_builder_refuse_extras(builder, event->data.scalar.anchor, event->data.scalar.tag) &&
               yaml_builder_scalar(builder, event);
    case YAML_SEQUENCE_START_EVENT:
        return yaml_builder_refuse_extras(builder, event->data.sequence_start.anchor,
                                          event->data.sequence_start.tag) &&
               yaml_builder_open(builder, YAML_LIST);
    case YAML_MAPPING_START_EVENT:
        return yaml_builder_refuse_extras(builder, event->data.mapping_start.anchor,
                                          event->data.mapping_start.tag) &&
               yaml_builder_open(builder, YAML_MAP);
    case YAML_SEQUENCE_END_EVENT:
        builder->depth--;
        return true;
    case YAML_MAPPING_END_EVENT:
        return yaml_builder_check_keys(builder, &builder->open[builder->depth--]);
    }
    return false;
}

/* ---- files and libyaml ---- */

static bool yaml_fail_parser(const struct yaml_file *file, const yaml_parser_t *parser, struct bytes text,
                             struct status *status) {
    const char *problem = parser->problem != NULL ? parser->problem : "cannot be read";
    size_t line = parser->problem_mark.line + 1;
    if (parser->error == YAML_MEMORY_ERROR) {
        return status_fail(status, "%s: out of memory", file->name);
    }
    if (parser->error == YAML_READER_ERROR) { /* has an offset instead of a mark */
        line = 1;
        for (size_t i = 0; i < parser->problem_offset && i < text.len; i++) {
            line += text.data[i] == '\n';
        }
        return status_fail(status, "%s:%zu: %s; the file must be UTF-8 text", file->name, line, problem);
    }
    if (parser->context != NULL) {
        return status_fail(status, "%s:%zu: %s (%s that begins in line %zu)", file->name, line, problem,
                           parser->context, parser->context_mark.line + 1);
    }
    return status_fail(status, "%s:%zu: %s", file->name, line, problem);
}

static bool yaml_file_build(struct yaml_file *file, struct bytes text, struct status *status) {
    struct yaml_builder builder = {.file = file, .status = status};
    struct yaml_entry none = {.kind = YAML_TEXT};
    yaml_parser_t parser;
    if (!buf_append(&file->entries, &none, sizeof none) || !yaml_parser_initialize(&parser)) {
        return status_fail(status, "%s: out of memory", file->name);
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, text.data, text.len);
    bool is_good, is_done = false;
    do {
        yaml_event_t event;
        is_good = yaml_parser_parse(&parser, &event) != 0;
        if (!is_good) {
            yaml_fail_parser(file, &parser, text, status);
            break;
        }
        is_done = event.type == YAML_STREAM_END_EVENT;
        is_good = yaml_builder_take(&builder, &event);
        yaml_event_delete(&event);
    } while (is_good && !is_done);
    yaml_parser_delete(&parser);
    return is_good;
}

struct yaml_file *yaml_file_parse(const char *name, const char *text, size_t len, struct status *status) {
    if (len > YAML_FILE_MAX_BYTES) {
        status_fail(status, "%s: is larger than %s", name, units_show_bytes(YAML_FILE_MAX_BYTES).text);
        return NULL;
    }
    struct yaml_file *file = calloc(1, sizeof *file);
    if (file == NULL || (file->name = strdup(name)) == NULL) {
        free(file);
        status_fail(status, "%s: out of memory", name);
        return NULL;
    }
    if (!yaml_file_build(file, (struct bytes){(const uint8_t *)text, len}, status)) {
        yaml_file_destroy(&file);
    }
    return file;
}

/* Reads up to one byte more than the cap. */
static bool yaml_read_all(FILE *stream, const char *path, struct buf *text, struct status *status) {
    while (buf_len(text) <= YAML_FILE_MAX_BYTES) {
        uint8_t *to = buf_reserve(text, YAML_READ_BYTES);
        if (to == NULL) {
            return status_fail(status, "%s: out of memory", path);
        }
        size_t n = fread(to, 1, YAML_READ_BYTES, stream);
        if (n == 0) {
            return !ferror(stream) || status_fail(status, "%s: cannot be read: %s", path, strerror(errno));
        }
        buf_commit(text, n);
    }
    return true;
}

struct yaml_file *yaml_file_load(const char *path, struct status *status) {
    FILE *stream = fopen(path, "rbe");
    if (stream == NULL) {
        status_fail(status, "%s: cannot be opened: %s", path, strerror(errno));
        return NULL;
    }
    struct buf text = {0};
    struct yaml_file *file = NULL;
    if (yaml_read_all(stream, path, &text, status)) {
        const char *start = text.data != NULL ? (const char *)buf_front(&text) : "";
        file = yaml_file_parse(path, start, buf_len(&text), status);
    }
    buf_deinit(&text);
    fclose(stream);
    return file;
}

void yaml_file_destroy(struct yaml_file **file) {
    if (*file == NULL) {
        return;
    }
    buf_deinit(&(*file)->texts);
    buf_deinit(&(*file)->entries);
    free((*file)->name);
    free(*file);
    *file = NULL;
}
