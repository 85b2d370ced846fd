/* quota_fixture.c — quotas from a text; see quota_fixture.h. */
#include "tests/support/test_prelude.h"

#include "tests/support/quota_fixture.h"

#include "server/quota/registry.h"

struct quota_set *quota_fixture_load(const char *text) {
    struct status status = {""};
    struct quota_set *set = registry_load_text("quotas", text, strlen(text), &status);
    assert_string_equal(status.text, "");
    assert_non_null(set);
    return set;
}
