/* field.h — the members of a JSON object from a server, which may lack any of them. Pure. */
#ifndef SLUICE_CTL_FIELD_H
#define SLUICE_CTL_FIELD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* "" or 0 when there is no such member, or it is of another kind; `object` may be NULL. The text is borrowed. */
const char *field_text(const json_t *object, const char *name);
int64_t field_integer(const json_t *object, const char *name);
/* The list, borrowed; NULL when it is none: json_array_size and json_array_get take that. */
const json_t *field_list(const json_t *object, const char *name);

#endif
