/* token_maker.c — random tokens and their SHA-256. */
#include "admin/ctl/token_maker.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static void write_hex(const uint8_t bytes[32], char hex[TOKEN_MAKER_HEX_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < 32; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[TOKEN_MAKER_HEX_BYTES - 1] = '\0';
}

bool token_maker_check(const char *name, const char *role, struct status *status) {
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.@-";
    size_t n = strlen(name);
    if (n == 0 || n > TOKEN_MAKER_NAME_MAX_BYTES || strspn(name, allowed) != n) {
        return status_fail(status, "'%.80s': a name is 1 to %d letters, digits and _ . @ -", name,
                           TOKEN_MAKER_NAME_MAX_BYTES);
    }
    if (strcmp(name, "local") == 0) {
        return status_fail(status, "'local' is the name of whoever needs no token; choose another");
    }
    if (role == NULL || (strcmp(role, "viewer") != 0 && strcmp(role, "operator") != 0)) {
        return status_fail(status, "say --role viewer or --role operator");
    }
    return true;
}

bool token_maker_hash(const char *token, char sha256[TOKEN_MAKER_HEX_BYTES]) {
    uint8_t digest[32];
    unsigned n_digest = 0;
    if (EVP_Digest(token, strlen(token), digest, &n_digest, EVP_sha256(), NULL) != 1 ||
        n_digest != sizeof digest) {
        return false;
    }
    write_hex(digest, sha256);
    return true;
}

bool token_maker_make(struct token_made *made, struct status *status) {
    uint8_t secret[TOKEN_MAKER_SECRET_BYTES];
    if (RAND_bytes(secret, sizeof secret) != 1) {
        return status_fail(status, "the machine has no random numbers to give");
    }
    write_hex(secret, made->token);
    explicit_bzero(secret, sizeof secret);
    return token_maker_hash(made->token, made->sha256) || status_fail(status, "SHA-256 is not available");
}
