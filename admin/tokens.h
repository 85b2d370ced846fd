/* tokens.h — who may use the admin endpoint: names and roles, found by the token that a caller shows.
 *
 * The file is a YAML list; a token itself stands nowhere, only its SHA-256:
 *
 *   - name: alice
 *     role: operator            # or viewer, who may only look
 *     sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
 *
 * Read once; afterwards any thread may look. */
#ifndef SLUICE_ADMIN_TOKENS_H
#define SLUICE_ADMIN_TOKENS_H

#include <stddef.h>
#include <stdint.h>

#include "server/base/bytes.h"
#include "server/base/status.h"

enum { TOKEN_NAME_MAX_BYTES = 64, TOKEN_SHA256_BYTES = 32, TOKENS_MAX = 10000 };

enum token_role { TOKEN_VIEWER, TOKEN_OPERATOR };

struct token {
    char name[TOKEN_NAME_MAX_BYTES + 1]; /* of [A-Za-z0-9_.@-] */
    enum token_role role;
    uint8_t sha256[TOKEN_SHA256_BYTES];
};

struct tokens;

/* Both return NULL with "file:line: field: reason" in `status`: the file is taken whole or not at all. */
struct tokens *tokens_load(const char *path, struct status *status);
struct tokens *tokens_parse(const char *name, const char *text, size_t len, struct status *status);
/* Frees and nulls the pointer; NULL inside is fine. */
void tokens_destroy(struct tokens **tokens);

size_t tokens_count(const struct tokens *tokens);
/* Whose token this is, borrowed; NULL: nobody's. How long it takes tells nothing about the tokens. */
const struct token *tokens_find(const struct tokens *tokens, struct bytes shown);

#endif
