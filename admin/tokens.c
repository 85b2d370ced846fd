/* tokens.c — who may use the admin endpoint; see tokens.h. */
#include "admin/tokens.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/units.h"
#include "server/base/yaml_file.h"

static_assert(TOKEN_SHA256_BYTES == SHA256_DIGEST_LENGTH, "a digest fits");

/* Whoever reaches a frontend without tokens has this name. */
static const char reserved_name[] = "local";
static const char name_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.@-";

struct tokens {
    size_t n_tokens;
    struct token list[];
};

enum { FIELD_NAME, FIELD_ROLE, FIELD_SHA256, N_FIELDS };
static const struct yaml_field token_fields[N_FIELDS] = {{"name", true}, {"role", true}, {"sha256", true}};

static bool is_word(struct bytes text, const char *word) {
    return text.len == strlen(word) && memcmp(text.data, word, text.len) == 0;
}

static bool read_name(struct yaml_node node, struct token *token, struct status *status) {
    if (!yaml_node_expect(node, YAML_TEXT, status)) {
        return false;
    }
    struct bytes text = yaml_node_text(node);
    bool is_good = text.len >= 1 && text.len <= TOKEN_NAME_MAX_BYTES;
    for (size_t i = 0; is_good && i < text.len; i++) {
        is_good = memchr(name_characters, text.data[i], sizeof name_characters - 1) != NULL;
    }
    if (!is_good) {
        return yaml_node_fail(node, status, "'%s' is not 1 to %d letters, digits and _ . @ -",
                              units_show_text(text).text, (int)TOKEN_NAME_MAX_BYTES);
    }
    if (is_word(text, reserved_name)) {
        return yaml_node_fail(node, status, "'%s' is the name of whoever needs no token", reserved_name);
    }
    memcpy(token->name, text.data, text.len);
    token->name[text.len] = '\0';
    return true;
}

static bool read_role(struct yaml_node node, struct token *token, struct status *status) {
    if (!yaml_node_expect(node, YAML_TEXT, status)) {
        return false;
    }
    struct bytes text = yaml_node_text(node);
    if (is_word(text, "viewer")) {
        token->role = TOKEN_VIEWER;
    } else if (is_word(text, "operator")) {
        token->role = TOKEN_OPERATOR;
    } else {
        return yaml_node_fail(node, status, "'%s' is neither viewer nor operator", units_show_text(text).text);
    }
    return true;
}

/* -1: no hexadecimal digit. */
static int digit_of(uint8_t c) {
    static const char digits[] = "0123456789abcdef";
    const char *at = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);
    return at != NULL ? (int)(at - digits) : -1;
}

static bool read_sha256(struct yaml_node node, struct token *token, struct status *status) {
    if (!yaml_node_expect(node, YAML_TEXT, status)) {
        return false;
    }
    struct bytes text = yaml_node_text(node);
    bool is_good = text.len == (size_t)2 * TOKEN_SHA256_BYTES;
    for (size_t i = 0; is_good && i < TOKEN_SHA256_BYTES; i++) {
        int high = digit_of(text.data[2 * i]), low = digit_of(text.data[2 * i + 1]);
        is_good = high >= 0 && low >= 0;
        token->sha256[i] = is_good ? (uint8_t)(high * 16 + low) : 0;
    }
    /* The value is not shown: somebody may have put the token itself there. */
    return is_good ||
           yaml_node_fail(node, status, "is not a SHA-256, %d hexadecimal digits", 2 * (int)TOKEN_SHA256_BYTES);
}

static bool read_token(struct yaml_node node, struct tokens *tokens, struct status *status) {
    struct yaml_node values[N_FIELDS];
    struct token *token = &tokens->list[tokens->n_tokens];
    if (!yaml_node_fields(node, token_fields, N_FIELDS, values, status) ||
        !read_name(values[FIELD_NAME], token, status) || !read_role(values[FIELD_ROLE], token, status) ||
        !read_sha256(values[FIELD_SHA256], token, status)) {
        return false;
    }
    for (size_t i = 0; i < tokens->n_tokens; i++) {
        if (strcmp(tokens->list[i].name, token->name) == 0) {
            return yaml_node_fail(values[FIELD_NAME], status, "'%s' is given twice", token->name);
        }
        if (memcmp(tokens->list[i].sha256, token->sha256, TOKEN_SHA256_BYTES) == 0) {
            return yaml_node_fail(values[FIELD_SHA256], status, "is that of '%s' as well",
                                  tokens->list[i].name);
        }
    }
    tokens->n_tokens++;
    return true;
}

static size_t count_nodes(struct yaml_node list) {
    size_t n = 0;
    for (struct yaml_node node = yaml_node_first(list); yaml_node_exists(node); node = yaml_node_next(node)) {
        n++;
    }
    return n;
}

static struct tokens *read_list(struct yaml_node list, const char *name, struct status *status) {
    if (!yaml_node_exists(list)) {
        status_fail(status, "%s: there is no token in it", name);
        return NULL;
    }
    if (!yaml_node_expect(list, YAML_LIST, status)) {
        return NULL;
    }
    size_t n = count_nodes(list);
    if (n > TOKENS_MAX) {
        status_fail(status, "%s: more than %d tokens", name, (int)TOKENS_MAX);
        return NULL;
    }
    struct tokens *tokens = calloc(1, sizeof *tokens + n * sizeof tokens->list[0]);
    if (tokens == NULL) {
        status_fail(status, "%s: out of memory", name);
        return NULL;
    }
    for (struct yaml_node node = yaml_node_first(list); yaml_node_exists(node); node = yaml_node_next(node)) {
        if (!read_token(node, tokens, status)) {
            tokens_destroy(&tokens);
            return NULL;
        }
    }
    return tokens;
}

/* Takes over the file; it may be NULL, with the reason in `status` already. */
static struct tokens *read_file(struct yaml_file *file, const char *name, struct status *status) {
    if (file == NULL) {
        return NULL;
    }
    struct tokens *tokens = read_list(yaml_file_root(file), name, status);
    yaml_file_destroy(&file);
    return tokens;
}

struct tokens *tokens_load(const char *path, struct status *status) {
    return read_file(yaml_file_load(path, status), path, status);
}

struct tokens *tokens_parse(const char *name, const char *text, size_t len, struct status *status) {
    return read_file(yaml_file_parse(name, text, len, status), name, status);
}

void tokens_destroy(struct tokens **tokens) {
    free(*tokens);
    *tokens = NULL;
}

size_t tokens_count(const struct tokens *tokens) {
    return tokens->n_tokens;
}

const struct token *tokens_find(const struct tokens *tokens, struct bytes shown) {
    uint8_t sha256[TOKEN_SHA256_BYTES];
    const struct token *found = NULL;
    if (shown.len == 0) {
        return NULL;
    }
    SHA256(shown.data, shown.len, sha256);
    for (size_t i = 0; i < tokens->n_tokens; i++) {
        if (CRYPTO_memcmp(sha256, tokens->list[i].sha256, sizeof sha256) == 0) {
            found = &tokens->list[i];
        }
    }
    OPENSSL_cleanse(sha256, sizeof sha256);
    return found;
}
