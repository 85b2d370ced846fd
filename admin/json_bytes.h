/* json_bytes.h — bytes as a JSON string. */
#ifndef SLUICE_ADMIN_JSON_BYTES_H
#define SLUICE_ADMIN_JSON_BYTES_H

#include <stdbool.h>

#include "server/base/bytes.h"

struct json_t;

/* A new string, NULs included. What is not UTF-8 as a whole loses its bytes above 127 to question marks. NULL when
 * memory is short. */
struct json_t *json_of_bytes(struct bytes bytes);

/* Is it UTF-8 (RFC 3629), so that a JSON string can carry it as it is? */
bool json_can_carry(struct bytes bytes);

/* The value that `text` holds; a JSON null for an empty text; as a string what is no JSON. NULL when memory is short. */
struct json_t *json_of_text(struct bytes text);

#endif
