/* bench_compare.c — figures by their place in the object; see bench_compare.h. */
#include "client/cmd/bench_compare.h"

#include <math.h>
#include <stdbool.h>

static const struct figure {
    const char *name;   /* for people, and in the object of ratios */
    const char *object; /* in which it is; NULL: at the top */
    const char *member;
} figures[] = {
    {"rate_per_s", NULL, "rate_per_s"},
    {"latency_p50_us", "latency_us", "p50"},
    {"latency_p90_us", "latency_us", "p90"},
    {"latency_p99_us", "latency_us", "p99"},
    {"latency_p99.9_us", "latency_us", "p99.9"},
    {"latency_p99.99_us", "latency_us", "p99.99"},
    {"latency_max_us", "latency_us", "max"},
    {"allowed", NULL, "allowed"},
    {"denied", NULL, "denied"},
    {"errors", NULL, "errors"},
    {"cpu_us_per_check", "frontends", "cpu_us_per_check"},
    {"store_calls_per_check", "frontends", "store_calls_per_check"},
    {"own_cpu_share", NULL, "own_cpu_share"},
};
enum { N_FIGURES = sizeof figures / sizeof figures[0] };

/* False when the run has no such figure. */
static bool find(const json_t *run, const struct figure *figure, double *value) {
    const json_t *object = figure->object != NULL ? json_object_get(run, figure->object) : run;
    const json_t *member = json_object_get(object, figure->member);
    if (!json_is_number(member)) {
        return false;
    }
    *value = json_number_value(member);
    return true;
}

/* The names of the run's settings that the base has not, or not so. */
static json_t *find_differences(json_t *run, const json_t *base) {
    json_t *names = json_array(), *settings = json_object_get(run, "settings"), *here;
    const json_t *base_settings = json_object_get(base, "settings");
    const char *name;
    json_object_foreach(settings, name, here) {
        const json_t *there = json_object_get(base_settings, name);
        if (there == NULL || !json_equal(here, there)) {
            json_array_append_new(names, json_string(name));
        }
    }
    return names;
}

json_t *bench_compare_load(const char *path, struct status *status) {
    json_error_t error;
    double rate_per_s;
    json_t *base = json_load_file(path, 0, &error);
    if (base == NULL) {
        status_fail(status, "--compare: %s: %s", path, error.text);
        return NULL;
    }
    if (!find(base, &figures[0], &rate_per_s) || !json_is_object(json_object_get(base, "settings"))) {
        status_fail(status, "--compare: %s is not what 'sluice bench --json' prints", path);
        json_decref(base);
        return NULL;
    }
    return base;
}

void bench_compare_print(json_t *run, const json_t *base, FILE *out) {
    fprintf(out, "%-22s %14s %14s %8s\n", "compared", "here", "base", "ratio");
    for (size_t i = 0; i < N_FIGURES; i++) {
        double here, there;
        if (!find(run, &figures[i], &here) || !find(base, &figures[i], &there)) {
            continue;
        }
        int n_decimals = here == floor(here) && there == floor(there) ? 0 : here < 100 && there < 100 ? 3 : 0;
        fprintf(out, "%-22s %14.*f %14.*f ", figures[i].name, n_decimals, here, n_decimals, there);
        if (there != 0) {
            fprintf(out, "%8.3f\n", here / there);
        } else {
            fprintf(out, "%8s\n", "-");
        }
    }
    json_t *names = find_differences(run, base);
    for (size_t i = 0; i < json_array_size(names); i++) {
        fprintf(out, "%s%s", i == 0 ? "these settings differ: " : ", ",
                json_string_value(json_array_get(names, i)));
    }
    fputs(json_array_size(names) > 0 ? "\n" : "", out);
    json_decref(names);
}

json_t *bench_compare_make_json(json_t *run, const json_t *base) {
    json_t *ratios = json_object();
    for (size_t i = 0; i < N_FIGURES; i++) {
        double here, there;
        bool has_ratio = find(run, &figures[i], &here) && find(base, &figures[i], &there) && there != 0;
        json_object_set_new(ratios, figures[i].name, has_ratio ? json_real(here / there) : json_null());
    }
    return json_pack("{s:o, s:o}", "ratios", ratios, "different_settings", find_differences(run, base));
}
