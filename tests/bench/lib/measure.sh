# measure.sh — one figure at a time, in turns, and the rows of the table made of them; sourced by run.sh.
#
# A measurement is a command that sets `value`. `alternate A B` runs A B A B ... and keeps the values of each in
# a list; a ratio is the median of the ratios of the rounds, so that what slows the machine down slows both.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with run.sh and what else it sources

# load CORES OPTION...: a run of `sluice bench` at the frontend; its JSON is in $report
load() {
    local cores=$1
    shift
    report=$(taskset -c "$cores" "$build/sluice" bench --server "$checks_at" --admin "$admin_at" --tenants bench \
        --warm-up "${warm_up:-200ms}" --duration "${duration:-$MEASURE}" --json "$@" 2>"$dir/load.log") && return
    say "sluice bench failed: $(tail -n 1 "$dir/load.log") $(report_text first_error)"
    return 1
}

# report_figure NAME: the last number of that name in the report, which is that of the whole
report_figure() {
    sed -E 's/.*"'"$1"'":([-0-9.e+]+).*/\1/' <<<"$report"
}

report_text() {
    sed -E 's/.*"'"$1"'":"([^"]*)".*/\1/' <<<"$report"
}

# report_in OBJECT NAME
report_in() {
    sed -E 's/.*"'"$1"'":\{([^}]*)\}.*/\1/; s/.*"'"$2"'":([-0-9.e+]+).*/\1/' <<<"$report"
}

# load_redis CORES WHAT OPTION...: a run of redis_load at the Redis, or at port $peer_port; its line is in $report
load_redis() {
    local cores=$1
    shift
    report=$(taskset -c "$cores" "$build/tests/bench/redis_load" --port "${peer_port:-$redis_port}" \
        --duration "${duration:-$MEASURE}" "$@")
}

# line_figure NAME: of the line that redis_load prints
line_figure() {
    sed -E 's/.*\b'"$1"'=([-0-9.e+]+).*/\1/' <<<"$report"
}

# calculate EXPRESSION: as awk does
calculate() {
    awk "BEGIN { printf \"%.6g\", $1 }"
}

# CPU seconds of a process, all threads, from the scheduler: precise to the nanosecond where the kernel has it
cpu_seconds() {
    awk '{ ns += $1 } END { printf "%.9f", ns / 1e9 }' /proc/"$1"/task/*/schedstat
}

# alternate MEASUREMENT...: fills $dir/values.MEASUREMENT; 1 when one fails
alternate() {
    local round measurement
    for measurement; do
        : >"$dir/values.$measurement"
    done
    for ((round = 0; round < ROUNDS; round++)); do
        for measurement; do
            within_time && "$measurement" || return 1
            printf '%s\n' "$value" >>"$dir/values.$measurement"
        done
    done
}

median() {
    sort -g | awk '{ v[NR] = $1 } END { printf "%.6g", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# median_of MEASUREMENT
median_of() {
    median <"$dir/values.$1"
}

# ratios A B: of each round
ratios() {
    paste "$dir/values.$1" "$dir/values.$2" | awk '{ printf "%.6g\n", $1 / $2 }'
}

# spread A B: least and greatest ratio of a round
spread() {
    ratios "$@" | sort -g | awk 'NR == 1 { least = $1 } END { printf "%.3g to %.3g", least, $1 }'
}

# is_met FIGURE '>= 4'
is_met() {
    awk "BEGIN { exit !($1 $2) }"
}

# ratio_row NAME GOAL A B UNIT CORES: the medians of A and B, and the ratio; GOAL may be '-'
ratio_row() {
    local ratio
    ratio=$(ratios "$3" "$4" | median)
    row "$1" "$(show "$(median_of "$3")") $5" "$(show "$(median_of "$4")") $5" "$(printf '%.3f' "$ratio")" \
        "$(spread "$3" "$4")" "$2" "$(judge "$ratio" "$2")" "$6"
}

# figure_row NAME GOAL FIGURE UNIT CORES
figure_row() {
    row "$1" "$(show "$3") $4" - - - "$2" "$(judge "$3" "$2")" "$5"
}

judge() {
    if [[ $2 == - ]]; then
        echo -
    elif is_met "$1" "$2"; then
        echo met
    else
        echo MISSED
    fi
}

# A number as people read it.
show() {
    awk -v x="$1" 'BEGIN {
        if (x >= 1e6) printf "%.2fM", x / 1e6
        else if (x >= 1e4) printf "%.0fk", x / 1e3
        else if (x >= 100) printf "%.0f", x
        else printf "%.3g", x
    }'
}

# row CASE MEASURED REFERENCE RATIO SPREAD GOAL MET CORES
row() {
    local IFS='|'
    printf '%s\n' "$*" >>"$dir/rows"
    say "$1: $2, reference $3, ratio $4, goal $6: $7"
}

# failed_row NAME
failed_row() {
    row "$1" 'not measured' - - - - FAILED -
    has_failed=1
}
