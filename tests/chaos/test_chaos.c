/* test_chaos.c — runs the scenarios: all, the quick half (--quick), or one by its name. */
#include "tests/chaos/scenarios.h"

#define CHAOS_TEST(name, is_in_quick_half) {"chaos_" #name, chaos_##name, chaos_set_up, chaos_tear_down, NULL},
#define CHAOS_QUICK(name, is_in_quick_half) is_in_quick_half,

static const struct CMUnitTest scenarios[] = {CHAOS_SCENARIOS(CHAOS_TEST)};
static const bool is_in_quick_half[] = {CHAOS_SCENARIOS(CHAOS_QUICK)};

enum { N_SCENARIOS = sizeof scenarios / sizeof scenarios[0] };

/* Those with the given name, or else the whole or quick half. Returns how many. */
static size_t select_scenarios(const char *wanted, bool is_quick, struct chaos *chaos,
                               struct CMUnitTest selected[N_SCENARIOS]) {
    size_t n = 0;
    for (size_t i = 0; i < N_SCENARIOS; i++) {
        const char *name = scenarios[i].name + strlen("chaos_");
        if (wanted != NULL ? strcmp(wanted, name) == 0 : !is_quick || is_in_quick_half[i]) {
            selected[n] = scenarios[i];
            selected[n++].initial_state = chaos;
        }
    }
    return n;
}

int main(int argc, char **argv) {
    static struct chaos chaos;
    const char *wanted = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quick") == 0) {
            chaos.is_quick = true;
        } else {
            wanted = argv[i];
        }
    }
    struct CMUnitTest selected[N_SCENARIOS];
    size_t n = select_scenarios(wanted, chaos.is_quick, &chaos, selected);
    if (n == 0) {
        fprintf(stderr, "%s: no scenario %s; see tests/chaos/README.md\n", argv[0], wanted);
        return 2;
    }
    chaos_open(&chaos);
    int n_failed = _cmocka_run_group_tests("chaos", selected, n, NULL, NULL);
    chaos_close(&chaos);
    chaos_print_table(&chaos);
    return n_failed != 0;
}
