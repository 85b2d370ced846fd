# latency.sh — p99 of a cold check of an idle system against that of the same EVALSHA without a frontend.
#
# Both are asked 1000 times a second on one TCP connection, and latency counts from when a call was due. Frontend and
# generator share a core, as a frontend beside its caller does; so the way to the other core and back is made once in
# both.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with run.sh and what else it sources

readonly latency_cores='Redis 0; frontend and generator 1'

latency_check() {
    load "$other_core" --resource cold --keys uniform:1000000 --rate 1000 --connections 1 || return
    value=$(report_in latency_us p99)
    report_in latency_us p50 >>"$dir/values.p50_check"
}

latency_evalsha() {
    load_redis "$other_core" check --rate 1000 --connections 1 --pipeline 1 || return
    value=$(line_figure p99_us)
    line_figure p50_us >>"$dir/values.p50_evalsha"
}

measure_latency() {
    local duration=3s
    rm -f "$dir"/values.p50_*
    start_redis "$server_core" && load_redis "$other_core" check --fill &&
        start_frontend_at_redis "$other_core" || return
    alternate latency_check latency_evalsha || return
    ratio_row 'unloaded p99: cold check against bare EVALSHA' '<= 1.5' latency_check latency_evalsha us "$latency_cores"
    ratio_row 'unloaded p50, likewise' - p50_check p50_evalsha us "$latency_cores"
}

measure_latency
