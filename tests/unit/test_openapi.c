/* test_openapi.c — admin/openapi.yaml against the table of routes: no call without the other, the same parameters. */
#include "tests/support/test_prelude.h"

#include "admin/query.h"
#include "admin/routes.h"
#include "server/base/yaml_file.h"

#define PARAMETER_REF "#/components/parameters/"

static int setup(void **state) {
    struct status status;
    *state = yaml_file_load("admin/openapi.yaml", &status);
    if (*state == NULL) {
        print_error("%s\n", status.text);
    }
    return *state != NULL ? 0 : -1;
}

static int teardown(void **state) {
    struct yaml_file *file = *state;
    yaml_file_destroy(&file);
    return 0;
}

static bool is_text(struct bytes text, const char *word) {
    return text.len == strlen(word) && memcmp(text.data, word, text.len) == 0;
}

/* No place when it is not there. */
static struct yaml_node child(struct yaml_node map, const char *key) {
    struct yaml_node node = map;
    if (yaml_node_exists(map)) {
        for (node = yaml_node_first(map); yaml_node_exists(node); node = yaml_node_next(node)) {
            if (is_text(yaml_node_key(node), key)) {
                break;
            }
        }
    }
    return node;
}

static struct yaml_node paths_of(void **state) {
    struct yaml_node paths = child(yaml_file_root(*state), "paths");
    assert_true(yaml_node_exists(paths));
    return paths;
}

/* "GET" is the key "get". */
static struct yaml_node operation_of(struct yaml_node path, const char *method) {
    char key[16];
    snprintf(key, sizeof key, "%s", method);
    for (char *c = key; *c != '\0'; c++) {
        *c = (char)(*c | 0x20);
    }
    return child(path, key);
}

/* Is there a parameter of this name and place, itself or by reference? */
static bool has_parameter(void **state, struct yaml_node owner, const char *in, const char *name) {
    struct yaml_node list = child(owner, "parameters");
    if (!yaml_node_exists(list)) {
        return false;
    }
    for (struct yaml_node node = yaml_node_first(list); yaml_node_exists(node); node = yaml_node_next(node)) {
        struct yaml_node parameter = node, ref = child(node, "$ref");
        if (yaml_node_exists(ref)) {
            char key[32];
            struct bytes text = yaml_node_text(ref);
            size_t skip = strlen(PARAMETER_REF);
            assert_true(text.len > skip && memcmp(text.data, PARAMETER_REF, skip) == 0);
            snprintf(key, sizeof key, "%.*s", (int)(text.len - skip), (const char *)text.data + skip);
            parameter = child(child(child(yaml_file_root(*state), "components"), "parameters"), key);
            assert_true(yaml_node_exists(parameter));
        }
        if (is_text(yaml_node_text(child(parameter, "in")), in) &&
            is_text(yaml_node_text(child(parameter, "name")), name)) {
            return true;
        }
    }
    return false;
}

static void expect_parameters(void **state, const struct route *route, struct yaml_node path,
                              struct yaml_node operation) {
    static const char *const parts[ROUTE_N_PARTS] = {"t", "r", "key"};
    for (size_t i = 0; i < ROUTE_N_PARTS; i++) {
        char written[8];
        snprintf(written, sizeof written, "{%s}", parts[i]);
        assert_int_equal(has_parameter(state, path, "path", parts[i]), strstr(route->pattern, written) != NULL);
    }
    for (size_t i = 0; i < QUERY_N_FIELDS; i++) {
        const char *name = query_field_name((enum query_field)i);
        if (has_parameter(state, operation, "query", name) != ((route->query & QUERY_BIT(i)) != 0)) {
            fail_msg("%s %s: the parameter %s stands on one side alone", route->method, route->pattern, name);
        }
    }
}

static void test_each_route_is_described(void **state) {
    size_t n_routes;
    const struct route *routes = routes_list(&n_routes);
    for (size_t i = 0; i < n_routes; i++) {
        const struct route *route = &routes[i];
        struct yaml_node path = child(paths_of(state), route->pattern);
        if (!yaml_node_exists(path) || !yaml_node_exists(operation_of(path, route->method))) {
            fail_msg("%s %s is not described", route->method, route->pattern);
        }
        struct yaml_node operation = operation_of(path, route->method);
        struct bytes summary = yaml_node_text(child(operation, "summary"));
        if (!is_text(summary, route->summary)) {
            fail_msg("%s %s: '%s' is not '%.*s'", route->method, route->pattern, route->summary,
                     (int)summary.len, (const char *)summary.data);
        }
        assert_int_equal(yaml_node_exists(child(operation, "security")), route->access == ROUTE_OPEN);
        assert_int_equal(yaml_node_exists(child(operation, "requestBody")), route->max_body_bytes > 0);
        expect_parameters(state, route, path, operation);
    }
}

static void test_nothing_else_is_described(void **state) {
    static const char *const methods[] = {"GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"};
    size_t n_routes, n_operations = 0;
    (void)routes_list(&n_routes);
    for (struct yaml_node path = yaml_node_first(paths_of(state)); yaml_node_exists(path);
         path = yaml_node_next(path)) {
        for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
            n_operations += yaml_node_exists(operation_of(path, methods[i]));
        }
    }
    assert_int_equal(n_operations, n_routes);
}

static void follow_refs(void **state, struct yaml_node node, int *n_refs) {
    if (yaml_node_kind(node) == YAML_TEXT) {
        struct bytes text = yaml_node_text(node);
        if (is_text(yaml_node_key(node), "$ref")) {
            char path[128];
            snprintf(path, sizeof path, "%.*s", (int)text.len, (const char *)text.data);
            struct yaml_node target = yaml_file_root(*state);
            char *rest = NULL;
            assert_string_equal(strtok_r(path, "/", &rest), "#");
            for (char *part = strtok_r(NULL, "/", &rest); part != NULL; part = strtok_r(NULL, "/", &rest)) {
                target = child(target, part);
                assert_true(yaml_node_exists(target));
            }
            ++*n_refs;
        }
        return;
    }
    for (struct yaml_node each = yaml_node_first(node); yaml_node_exists(each); each = yaml_node_next(each)) {
        follow_refs(state, each, n_refs);
    }
}

static void test_references_lead_somewhere(void **state) {
    int n_refs = 0;
    follow_refs(state, yaml_file_root(*state), &n_refs);
    assert_true(n_refs > 20);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_route_is_described),
        cmocka_unit_test(test_nothing_else_is_described),
        cmocka_unit_test(test_references_lead_somewhere),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
