/* token_maker.h — random tokens and their SHA-256, by OpenSSL. */
#ifndef SLUICE_CTL_TOKEN_MAKER_H
#define SLUICE_CTL_TOKEN_MAKER_H

#include <stdbool.h>

#include "server/base/status.h"

enum { TOKEN_MAKER_SECRET_BYTES = 32, TOKEN_MAKER_HEX_BYTES = 64 + 1, TOKEN_MAKER_NAME_MAX_BYTES = 64 };

struct token_made {
    char token[TOKEN_MAKER_HEX_BYTES];
    char sha256[TOKEN_MAKER_HEX_BYTES]; /* of the token's text */
};

/* False with a sentence: a name that is not 1 to 64 of [A-Za-z0-9_.@-], or is "local"; a role that is
 * none. NULL: not given. */
bool token_maker_check(const char *name, const char *role, struct status *status)
    __attribute__((warn_unused_result));
/* False when the machine has no randomness, or no SHA-256. */
bool token_maker_make(struct token_made *made, struct status *status) __attribute__((warn_unused_result));

/* The SHA-256 of a text, in hexadecimal. */
bool token_maker_hash(const char *token, char sha256[TOKEN_MAKER_HEX_BYTES])
    __attribute__((warn_unused_result));

#endif
