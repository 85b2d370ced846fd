/* test_chaos.c — runs the scenarios: all, the quick half (--quick), or those that are named. */
#include "tests/chaos/scenarios.h"

#define CHAOS_TEST(name, is_in_quick_half) {"chaos_" #name, chaos_##name, chaos_set_up, chaos_tear_down, NULL},
#define CHAOS_QUICK(name, is_in_quick_half) is_in_quick_half,

static const struct CMUnitTest scenarios[] = {CHAOS_SCENARIOS(CHAOS_TEST)};
static const bool is_in_quick_half[] = {CHAOS_SCENARIOS(CHAOS_QUICK)};

enum { N_SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

static bool is_wanted(const char *name, char *const words[], size_t n_words) {
    for (size_t i = 0; i < n_words; i++) {
        if (strcmp(words[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* Those that are named, or else the whole or quick half. Returns how many. */
static size_t select_scenarios(char *const names[], size_t n_names, struct chaos *chaos,
                               struct CMUnitTest selected[N_SCENARIOS]) {
    size_t n = 0;
    for (size_t i = 0; i < N_SCENARIOS; i++) {
        const char *name = scenarios[i].name + strlen("chaos_");
        if (n_names > 0 ? is_wanted(name, names, n_names) : !chaos->is_quick || is_in_quick_half[i]) {
            selected[n] = scenarios[i];
            selected[n++].initial_state = chaos;
        }
    }
    return n;
}

int main(int argc, char **argv) {
    static struct chaos chaos;
    struct CMUnitTest selected[N_SCENARIOS];
    chaos.is_quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    int first_name = chaos.is_quick ? 2 : 1;
    size_t n_names = (size_t)(argc > first_name ? argc - first_name : 0);
    size_t n = select_scenarios(argv + first_name, n_names, &chaos, selected);
    if (n < n_names || n == 0) {
        fprintf(stderr, "usage: %s [--quick] [SCENARIO...]; see tests/chaos/README.md\n", argv[0]);
        return 2;
    }
    chaos_open(&chaos);
    int n_failed = _cmocka_run_group_tests("chaos", selected, n, NULL, NULL);
    chaos_close(&chaos);
    chaos_print_table(&chaos);
    return n_failed != 0;
}
