/* fuzz_registry.c — any bytes as a quota file: a set, or a reason. */
#include <stdlib.h>

#include "server/quota/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    struct status status = {""};
    struct quota_set *set = registry_load_text("fuzz", (const char *)bytes, n_bytes, &status);
    if (set == NULL && status.text[0] == '\0') {
        abort();
    }
    quota_set_release(&set);
    return 0;
}
