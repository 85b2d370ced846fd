# hot.sh — what the cases of hot checks share; sourced by these.
#
# The frontend, or the Redis that it is held against, has a core of its own. On the other one is the generator, which
# never sleeps, so that neither has to wake it, and a Redis that the frontend hardly asks.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with run.sh and what else it sources

readonly hot_cores='server 0; generator and the Redis behind it 1'

ask_denied() {
    load "$other_core" --resource denied --keys one --batch "$batch" --spin && hot_value
}

ask_leased() {
    load "$other_core" --resource leased --keys one --batch "$batch" --spin && hot_value
}

ask_unlimited() {
    load "$other_core" --resource unlimited --keys one --batch "$batch" --spin && hot_value
}

hot_value() {
    value=$(report_figure rate_per_s)
    generator_share=$(report_figure own_cpu_share)
    cpu_us=$(report_figure cpu_us_per_check)
    printf '%s\n' "$(calculate "1e6 / $cpu_us")" >>"$dir/values.per_cpu_${FUNCNAME[1]}"
}

get_existing() {
    load_redis "$other_core" get --keys 1000000 --spin || return
    value=$(line_figure rate_per_s)
}

# measure_hot NAME BATCH GOAL
measure_hot() {
    local batch=$2 kind
    rm -f "$dir"/values.per_cpu_*
    start_redis "$server_core" && load_redis "$other_core" set --fill || return
    local get_port=$redis_port
    start_redis "$other_core" && start_frontend_at_redis "$server_core" || return
    peer_port=$get_port alternate get_existing ask_denied ask_leased ask_unlimited || return
    for kind in denied leased unlimited; do
        ratio_row "$1: $kind" "$([[ $kind == unlimited ]] && echo - || echo "$3")" "ask_$kind" get_existing /s \
            "$hot_cores"
        ratio_row "$1: $kind, in a second of the server's CPU" - "per_cpu_ask_$kind" get_existing /s "$hot_cores"
    done
    say "the generator had ${generator_share} of its core"
}
