/* fuzz_quota_json.c — any bytes as one quota in JSON: a reason, or rules that are written and read back the same. */
#include <stdlib.h>

#include "server/quota/quota_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    struct status status = {""};
    struct quota_rules rules, again;
    if (!quota_json_read((struct bytes){bytes, n_bytes}, &rules, &status)) {
        if (status.text[0] == '\0') {
            abort();
        }
        return 0;
    }
    struct buf out = {0};
    if (!quota_rules_check(&rules, &status) || !quota_json_write(&rules, &out) ||
        !quota_json_read((struct bytes){buf_front(&out), buf_len(&out)}, &again, &status) ||
        !quota_rules_are_equal(&rules, &again)) {
        abort();
    }
    buf_deinit(&out);
    return 0;
}
