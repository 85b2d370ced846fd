# processes.sh — starts what is measured on stated cores, and ends it; sourced by run.sh.
#
# Every process is a child of this shell, known by its id, and dies with it, however that ends.
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with run.sh and what else it sources

pids=() # of all that run

# pinned CORES COMMAND...: in the place of the current process
pinned() {
    exec setpriv --pdeathsig KILL taskset -c "$@"
}

is_listening() {
    (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# wait_for PID WHAT COMMAND...: until the command succeeds; 1 when the process has ended, or after 20 s
wait_for() {
    local pid=$1 what=$2 deadline=$((SECONDS + 20))
    shift 2
    until "$@"; do
        if ! kill -0 "$pid" 2>/dev/null || ((SECONDS >= deadline)); then
            say "$what did not start"
            return 1
        fi
        sleep 0.01
    done
}

# start_redis CORES: sets redis_pid and redis_port
start_redis() {
    local port
    for ((port = 21000; port < 21500; port++)); do
        is_listening "$port" || break
    done
    pinned "$1" redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no --dir "$dir" \
        </dev/null >"$dir/redis.log" 2>&1 &
    redis_pid=$! redis_port=$port
    pids+=("$redis_pid")
    wait_for "$redis_pid" redis-server is_redis
}

is_redis() {
    [[ $(redis PING 2>/dev/null) == PONG ]]
}

# redis WORD...: one command, its answer
redis() {
    timeout 60 redis-cli -h 127.0.0.1 -p "$redis_port" "$@"
}

# start_frontend CORES OPTION...: sets frontend_pid, checks_at and admin_at
start_frontend() {
    local cores=$1
    shift
    : >"$dir/ready"
    pinned "$cores" "$build/sluiced" --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0 "$@" \
        </dev/null >"$dir/ready" 2>"$dir/frontend.log" &
    frontend_pid=$!
    pids+=("$frontend_pid")
    wait_for "$frontend_pid" sluiced has_ready_line && wait_for "$frontend_pid" sluiced is_ready && return
    cat "$dir/frontend.log" >&2
    return 1
}

# start_frontend_at_redis CORES OPTION...
start_frontend_at_redis() {
    local cores=$1
    shift
    start_frontend "$cores" --redis-nodes "127.0.0.1:$redis_port" --quotas tests/bench/quotas.yaml "$@"
}

has_ready_line() {
    read -r line <"$dir/ready" || return 1
    checks_at=${line#*checks=} checks_at=${checks_at%% *}
    admin_at=${line#*admin=}
}

# Serves by the quotas of its store.
is_ready() {
    curl -sf -m 2 "http://$admin_at/readyz" >/dev/null
}

# stop PID: ends it, or kills it after 10 s
stop() {
    local pid=$1 deadline=$((SECONDS + 10)) i
    kill -TERM "$pid" 2>/dev/null
    while kill -0 "$pid" 2>/dev/null; do
        ((SECONDS < deadline)) || kill -KILL "$pid" 2>/dev/null
        sleep 0.02
    done
    wait "$pid" 2>/dev/null
    for i in "${!pids[@]}"; do
        [[ ${pids[i]} != "$pid" ]] || unset "pids[i]"
    done
    return 0
}

stop_all() {
    local pid
    for pid in "${pids[@]}"; do
        stop "$pid"
    done
}
