/* judge.c — what every scenario must show, as a row of the table and as assertions. */
#include "tests/chaos/chaos.h"

#include <math.h>

static const char table_head[] =
    "scenario          checks  denied   local undecid  p50 ms  p99 ms p99.9ms  max ms  late ms  "
    "hot admitted/bound    burst/bound  back s";

static double ms_of(int64_t us) {
    return (double)us / 1e3;
}

static double percent_of(size_t n, size_t of) {
    return of == 0 ? 0 : 100.0 * (double)n / (double)of;
}

static struct pace pace_of(const struct chaos *chaos, const struct load_class *class,
                           struct chaos_allowance allowance) {
    return (struct pace){
        .rate_per_s = class->rate_per_s,
        .factor = allowance.factor > 0 ? allowance.factor : 1,
        .from_us = chaos->broken_at_us,
        .to_us = chaos->healthy_at_us,
    };
}

/* How near a key came to its bound. */
struct use {
    double burst, burst_bound; /* the worst window */
    size_t n_admitted;         /* and the whole run */
    double bound;
};

static struct use use_of(const struct chaos *chaos, uint16_t key, struct chaos_allowance allowance) {
    size_t n;
    const struct record *records = load_records(&chaos->load, &n);
    const struct load_class *class = chaos->load.keys[key].class;
    struct pace pace = pace_of(chaos, class, allowance);
    int64_t end_us = n > 0 ? records[n - 1].sent_at_us : chaos->begun_at_us;
    struct use use = {
        .burst = worst_burst(records, n, key, &pace),
        .burst_bound = class->burst * (1 + allowance.bursts),
        .n_admitted = count_admitted(records, n, key, 0, INT64_MAX),
    };
    use.bound = use.burst_bound + pace_tokens(&pace, chaos->begun_at_us, end_us + CHAOS_DEADLINE_US);
    return use;
}

/* From the repair to the last check that was not yet healthy. */
static int64_t recovery_us(const struct chaos *chaos) {
    size_t n;
    const struct record *records = load_records(&chaos->load, &n);
    int64_t last_us = last_unhealthy_us(records, n, chaos->repaired_at_us);
    return last_us == 0 ? 0 : last_us - chaos->repaired_at_us;
}

static void add_row(struct chaos *chaos, const char *scenario, const struct tally *tally, struct use hot) {
    assert_true(chaos->n_rows < CHAOS_MAX_ROWS);
    char *row = chaos->rows[chaos->n_rows++];
    int n =
        snprintf(row, CHAOS_ROW_BYTES, "%-17s %6zu  %5.1f%%  %5.1f%% %7zu  %6.2f  %6.2f  %6.2f  %6.2f  %7.2f",
                 scenario, tally->n_checks, percent_of(tally->n_denied, tally->n_checks),
                 percent_of(tally->n_local, tally->n_checks), tally->n_undecided, ms_of(tally->p50_us),
                 ms_of(tally->p99_us), ms_of(tally->p999_us), ms_of(tally->max_us),
                 ms_of(load_worst_lateness_us(&chaos->load)));
    snprintf(row + n, CHAOS_ROW_BYTES - (size_t)n, "  %8zu /%8.0f  %5.0f /%5.0f  %6.2f", hot.n_admitted,
             hot.bound, hot.burst, hot.burst_bound, (double)recovery_us(chaos) / 1e6);
    print_message("%s\n", row);
}

void chaos_print_table(const struct chaos *chaos) {
    printf("\n%s\n", table_head);
    for (size_t i = 0; i < chaos->n_rows; i++) {
        printf("%s\n", chaos->rows[i]);
    }
}

static void expect_bounds(const struct chaos *chaos, struct chaos_allowance allowance) {
    for (uint16_t key = 0; key < chaos->load.n_keys; key++) {
        struct use use = use_of(chaos, key, allowance);
        if (use.burst > use.burst_bound + 1e-6) {
            fail_msg("%s/%s: %.1f tokens beyond its rate in some window, at most %.1f may be",
                     chaos->load.keys[key].class->resource, chaos->load.keys[key].name, use.burst,
                     use.burst_bound);
        }
    }
}

void chaos_judge(struct chaos *chaos, const char *scenario, struct chaos_allowance allowance) {
    load_stop(&chaos->load);
    size_t n;
    const struct record *records = load_records(&chaos->load, &n);
    struct tally tally;
    assert_true(tally_part(records, n, (struct part){0, INT64_MAX, NULL}, &tally));
    add_row(chaos, scenario, &tally, use_of(chaos, 0, allowance));
    assert_int_equal(tally.n_unanswered, 0);
    (void)allowance.n_undecided;
    assert_in_range(tally.p999_us, 0, CHAOS_DEADLINE_US + CHAOS_SLACK_US);
    assert_in_range(recovery_us(chaos), 0, CHAOS_RECOVERY_LIMIT_US);
    expect_bounds(chaos, allowance);
}
