/* yaml_file.h — a YAML file as a tree whose every node knows its line and its path.
 *
 * The subset that a configuration needs: one UTF-8 document of maps, lists and texts. Anchors, aliases, tags,
 * duplicate keys, keys that are not text, more than YAML_FILE_MAX_DEPTH levels and more than
 * YAML_FILE_MAX_BYTES are refused. Numbers stay texts; units.h reads them. A tree takes at most about
 * twenty times the file's size. It does not change once it is read; one thread, or many that only look. */
#ifndef SLUICE_BASE_YAML_FILE_H
#define SLUICE_BASE_YAML_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/status.h"

enum { YAML_FILE_MAX_BYTES = 16 * 1024 * 1024, YAML_FILE_MAX_DEPTH = 16 };

enum yaml_kind { YAML_TEXT, YAML_LIST, YAML_MAP };

struct yaml_file;

/* A place in the tree, passed by value; good as long as the file is. It may be no place at all: ask
 * yaml_node_exists. */
struct yaml_node {
    const struct yaml_file *file;
    uint32_t index;
};

/* Both return NULL with "name:line: reason" in `status`. `name` is copied. */
struct yaml_file *yaml_file_load(const char *path, struct status *status);
struct yaml_file *yaml_file_parse(const char *name, const char *text, size_t len, struct status *status);
/* Frees the tree and nulls the pointer; NULL inside is fine. */
void yaml_file_destroy(struct yaml_file **file);

/* No place when the file holds nothing but comments. */
struct yaml_node yaml_file_root(const struct yaml_file *file);

bool yaml_node_exists(struct yaml_node node);
/* The rest are for nodes that exist. Bytes are borrowed from the file. */
enum yaml_kind yaml_node_kind(struct yaml_node node);
struct bytes yaml_node_text(struct yaml_node node); /* of a text; empty for others */
struct bytes yaml_node_key(struct yaml_node node);  /* of a map's value; empty for others */
/* The values of a map or list in the order of the file; no place behind the last. */
struct yaml_node yaml_node_first(struct yaml_node node);
struct yaml_node yaml_node_next(struct yaml_node node);

/* Writes "name:line: path: reason" with a path such as tenants.demo."api.*".limits[0].rate. Returns 0 (false). */
int yaml_node_fail(struct yaml_node node, struct status *status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* True when the node is of this kind and, being a map or list, not empty; else false with the reason. */
bool yaml_node_expect(struct yaml_node node, enum yaml_kind kind, struct status *status)
    __attribute__((warn_unused_result));

struct yaml_field {
    const char *name;
    bool is_required;
};

/* Expects a map with no fields but these, and puts the value of fields[i], or no place, in values[i]. */
bool yaml_node_fields(struct yaml_node node, const struct yaml_field *fields, size_t n_fields,
                      struct yaml_node *values, struct status *status) __attribute__((warn_unused_result));

#endif
