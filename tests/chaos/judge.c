/* judge.c — what every scenario must show, as a row of the table and as assertions. */
#include "tests/chaos/chaos.h"

static const char table_head[] =
    "scenario          checks  denied   local undecid  p50 ms  p99 ms p99.9ms  max ms  off ms   "
    "hot admitted/bound    burst/bound  back s";

static double ms_of(int64_t us) {
    return (double)us / 1e3;
}

static double percent_of(size_t n, size_t of) {
    return of == 0 ? 0 : 100.0 * (double)n / (double)of;
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
    const struct load_key *of = &chaos->load.keys[key];
    const struct cut_offs *cut_offs = &chaos->cut_offs[of->shard];
    struct pace pace = {.rate_per_s = of->class->rate_per_s, .cut_offs = cut_offs};
    bool is_burst_again = allowance.is_burst_again || cut_offs->n_local > 0;
    int64_t end_us = n > 0 ? records[n - 1].sent_at_us : chaos->begun_at_us;
    struct use use = {
        .burst = worst_burst(records, n, key, &pace),
        .burst_bound = of->class->burst * (is_burst_again ? 2 : 1),
        .n_admitted = count_admitted(records, n, key, 0, INT64_MAX),
    };
    use.bound = use.burst_bound + pace_tokens(&pace, chaos->begun_at_us, end_us + CHAOS_DEADLINE_US);
    return use;
}

static void find_cut_offs(struct chaos *chaos) {
    size_t n;
    const struct record *records = load_records(&chaos->load, &n);
    for (unsigned shard = 0; shard < LOAD_SHARDS; shard++) {
        bool keys[LOAD_MAX_KEYS];
        for (size_t i = 0; i < chaos->load.n_keys; i++) {
            keys[i] = chaos->load.keys[i].shard == shard;
        }
        assert_true(cut_offs_find(records, n, keys, LOAD_FRONTENDS, &chaos->cut_offs[shard]));
    }
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
                 ms_of(load_most_excused_us(&chaos->load)));
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

/* What the frontends count is what the callers were told. */
static void expect_same_story(const struct chaos *chaos, const struct tally *tally) {
    assert_int_equal(chaos_metric(chaos, "sluice_decisions_total{decision=\"allow\",source=\"local\"}") +
                         chaos_metric(chaos, "sluice_decisions_total{decision=\"deny\",source=\"local\"}"),
                     tally->n_local);
    assert_int_equal(chaos_metric(chaos, "sluice_undecided_total"), 0);
    assert_int_equal(chaos_metric(chaos, "sluice_orphaned_requests_total"), 0);
}

/* For a look at a run: a line for each check into $CHAOS_RECORDS/SCENARIO.csv, if there is such a variable. */
static void write_records(const struct chaos *chaos, const char *scenario) {
    const char *folder = getenv("CHAOS_RECORDS");
    char path[HARNESS_PATH_BYTES];
    size_t n;
    const struct record *records = load_records(&chaos->load, &n);
    snprintf(path, sizeof path, "%s/%s.csv", folder != NULL ? folder : "", scenario);
    FILE *file = folder != NULL ? fopen(path, "w") : NULL;
    if (file == NULL) {
        return;
    }
    fprintf(file, "sent_us,took_us,excused_us,resource,key,shard,frontend,status,verdict,source\n");
    for (const struct record *record = records; record < records + n; record++) {
        const struct load_key *key = &chaos->load.keys[record->key];
        fprintf(file, "%lld,%lld,%u,%s,%s,%u,%u,%u,%u,%s\n",
                (long long)(record->sent_at_us - chaos->begun_at_us),
                (long long)(record->answered_at_us - record->sent_at_us), record->excused_us,
                key->class->resource, key->name, key->shard, record->frontend, record->status, record->verdict,
                wire_source_text((enum wire_source)record->source));
    }
    fclose(file);
}

void chaos_judge(struct chaos *chaos, const char *scenario) {
    chaos_judge_with(chaos, scenario, (struct chaos_allowance){0});
}

void chaos_judge_with(struct chaos *chaos, const char *scenario, struct chaos_allowance allowance) {
    load_stop(&chaos->load);
    size_t n;
    const struct record *records = load_records(&chaos->load, &n);
    struct tally tally;
    assert_true(tally_part(records, n, (struct part){0, INT64_MAX, NULL}, &tally));
    find_cut_offs(chaos);
    write_records(chaos, scenario);
    add_row(chaos, scenario, &tally, use_of(chaos, 0, allowance));
    assert_int_equal(tally.n_unanswered, 0);
    assert_in_range(tally.n_undecided, 0, allowance.n_undecided);
    assert_in_range(tally.p999_us, 0, CHAOS_DEADLINE_US + CHAOS_SLACK_US);
    assert_in_range(recovery_us(chaos), 0, CHAOS_RECOVERY_LIMIT_US);
    expect_bounds(chaos, allowance);
    if (!allowance.are_counts_lost) {
        expect_same_story(chaos, &tally);
    }
}
