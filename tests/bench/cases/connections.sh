# connections.sh — the frontend's CPU for a check over 10,000 connections against that over one.
#
# Every connection has the same frames in flight, so that reads and writes carry as many: 32, and 1 for callers that
# wait for each answer. One connection leaves the frontend idle between its reads, and going to sleep and waking up is
# most of what it costs; so 64 connections, which keep it busy, are a reference as well.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with run.sh and what else it sources

readonly n_connections=10000

# ask_over CONNECTIONS PIPELINE
ask_over() {
    load "$other_core" --resource unlimited --keys one --timeout 10s --connections "$1" --pipeline "$2" &&
        value=$(report_figure cpu_us_per_check)
}

many_deep() {
    ask_over "$n_connections" 32
}

one_deep() {
    ask_over 1 32
}

some_deep() {
    ask_over 64 32
}

many_shallow() {
    ask_over "$n_connections" 1
}

one_shallow() {
    ask_over 1 1
}

measure_connections() {
    (($(ulimit -n) > n_connections + 200)) || {
        say "only $(ulimit -n) files may be open here"
        return 1
    }
    start_frontend "$server_core" --quotas tests/bench/quotas.yaml --max-connections $((n_connections + 100)) || return
    alternate many_deep one_deep some_deep many_shallow one_shallow || return
    ratio_row 'CPU per check: 10,000 connections against 1, 32 frames in flight of each' '<= 1.10' many_deep one_deep \
        us 'frontend 0; generator 1'
    ratio_row 'likewise, against 64 connections' - many_deep some_deep us 'frontend 0; generator 1'
    ratio_row 'likewise, 10,000 against 1, 1 frame in flight of each' '<= 1.10' many_shallow one_shallow us 'frontend 0; generator 1'
}

measure_connections
