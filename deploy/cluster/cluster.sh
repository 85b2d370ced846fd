#!/usr/bin/env bash
# cluster.sh — starts and stops a Redis Cluster on loopback, for `make run`, tests and trying things out.
#
# It is no way to run Redis in production: nothing is kept on disk and everything listens on 127.0.0.1.
# Each node lives in DIR/node-PORT (redis.conf, log, pid, nodes.conf); DIR/nodes lists the addresses.
set -euo pipefail
unset REDISCLI_AUTH

readonly HOST=127.0.0.1
readonly BUS_OFFSET=10000 # from a node's port to its cluster bus port
readonly LAST_PORT=55000
readonly PATIENCE_S=30

usage() {
    cat <<'END'
cluster.sh — a Redis Cluster on loopback

  cluster.sh start DIR [--masters 3] [--replicas 3] [--port 7000]
      Starts the nodes and forms the cluster; --port is the first port to try (taken ones are skipped; the
      bus of a node listens 10000 higher). When all nodes agree, prints nodes=127.0.0.1:7000,... (masters
      first) and writes the same list to DIR/nodes. If anything fails, nothing stays behind.
  cluster.sh restart DIR
      Starts those nodes again that no longer run.
  cluster.sh stop DIR
      Stops the nodes and removes what start made.
  cluster.sh status DIR
      One line for each node; exit 0 when all run and see the cluster as ok, else 1.
END
}

say() {
    printf 'cluster.sh: %s\n' "$*" >&2
}

die() {
    say "$@"
    exit 2
}

# cli PORT [WORD...]: one command, or those on standard input
cli() {
    timeout 5 redis-cli -h "$HOST" -p "$@" 2>&1
}

# is_listening PORT
is_listening() {
    (: <>"/dev/tcp/$HOST/$1") 2>/dev/null
}

# is_node PID HOME: is this process the node that lives in HOME? (A zombie is not: its command line is empty.)
is_node() {
    local words=()
    [[ -r /proc/$1/cmdline ]] && mapfile -d '' -t words 2>/dev/null <"/proc/$1/cmdline" || return 1
    [[ ${words[0]:-} == *redis-server && ${words[1]:-} == "$2/redis.conf" ]]
}

# home_of PORT
home_of() {
    printf '%s/node-%s' "$dir" "$1"
}

write_config() {
    local home
    home=$(home_of "$1")
    mkdir "$home"
    cat >"$home/redis.conf" <<END
bind $HOST
port $1
cluster-port $(($1 + BUS_OFFSET))
dir "$home"
logfile "$home/log"
set-proc-title no
always-show-logo no

cluster-enabled yes
cluster-config-file nodes.conf
# Redis' defaults, 15 s and yes, would stop the whole cluster for as long as a failover takes.
cluster-node-timeout 2000
cluster-require-full-coverage no
# An evicted bucket would be a full one.
maxmemory-policy noeviction

save ""
appendonly no
# What a replica once received from its master would be loaded when it starts again, however old by then.
rdb-del-sync-files yes
repl-diskless-sync-delay 0
shutdown-timeout 0
END
}

# launch PORT: starts the node in a session of its own, so that Ctrl-C in a terminal does not reach it.
launch() {
    local home
    home=$(home_of "$1")
    setsid redis-server "$home/redis.conf" </dev/null >>"$home/log" 2>&1 &
    started+=($!)
    echo $! >"$home/pid"
}

# await_node PORT: waits until the port is served by our process, not by somebody else's; 1 if ours ends.
await_node() {
    local pid deadline=$((SECONDS + PATIENCE_S))
    pid=$(<"$(home_of "$1")/pid")
    while ((SECONDS < deadline)); do
        if [[ $(cli "$1" info server) == *"process_id:$pid"$'\r'* ]]; then
            return 0
        fi
        kill -0 "$pid" 2>/dev/null || return 1
        sleep 0.02
    done
    die "the node on port $1 does not answer"
}

# Picks free ports from `next_port` up and starts a node on each, until `ports` has $1 of them.
start_nodes() {
    local batch port
    while ((${#ports[@]} < $1)); do
        batch=()
        while ((${#ports[@]} + ${#batch[@]} < $1)); do
            ((next_port <= LAST_PORT)) || die "no free ports left below $LAST_PORT; try a lower --port"
            if is_listening "$next_port" || is_listening $((next_port + BUS_OFFSET)); then
                say "port $next_port or $((next_port + BUS_OFFSET)) is taken, trying the next"
            else
                write_config "$next_port"
                launch "$next_port"
                batch+=("$next_port")
            fi
            next_port=$((next_port + 1))
        done
        for port in "${batch[@]}"; do
            if await_node "$port"; then
                ports+=("$port")
            elif grep -q 'bind: Address already in use\|Failed listening' "$(home_of "$port")/log"; then
                say "port $port was taken meanwhile, trying the next"
                rm -rf "$(home_of "$port")"
            else
                cat "$(home_of "$port")/log" >&2
                die "the node on port $port ended at once; its log is above"
            fi
        done
    done
}

# expect_ok PORT: sends the commands on standard input; each must be answered OK.
expect_ok() {
    local answer
    answer=$(cli "$1") || true
    if grep -qvx OK <<<"$answer"; then
        die "node $1 refuses: $answer"
    fi
}

# until_true WHAT COMMAND...: repeats the command until it succeeds
until_true() {
    local what=$1 deadline=$((SECONDS + PATIENCE_S))
    shift
    until "$@"; do
        ((SECONDS < deadline)) || die "gave up waiting until $what"
        sleep 0.05
    done
}

replicate() {
    [[ $(cli "$1" cluster replicate "$2") == OK ]]
}

is_settled() {
    local answer
    answer=$(printf 'cluster info\ninfo replication\n' | cli "$1")
    [[ $answer == *cluster_state:ok* && $answer == *cluster_known_nodes:"${#ports[@]}"$'\r'* ]] || return 1
    [[ $answer != *role:slave* || $answer == *master_link_status:up* ]]
}

# Gives the first $1 nodes all slots, makes everybody known to everybody, and hangs the rest on as replicas.
form_cluster() {
    local n_masters=$1 i j ids=()
    for ((i = 0; i < n_masters; i++)); do
        printf 'cluster set-config-epoch %d\ncluster addslotsrange %d %d\n' $((i + 1)) \
            $((16384 * i / n_masters)) $((16384 * (i + 1) / n_masters - 1)) | expect_ok "${ports[i]}"
        ids+=("$(cli "${ports[i]}" cluster myid)")
    done
    for ((i = 0; i + 1 < ${#ports[@]}; i++)); do
        for ((j = i + 1; j < ${#ports[@]}; j++)); do
            printf 'cluster meet %s %d %d\n' "$HOST" "${ports[j]}" $((ports[j] + BUS_OFFSET))
        done | expect_ok "${ports[i]}"
    done
    for ((i = n_masters; i < ${#ports[@]}; i++)); do
        until_true "node ${ports[i]} is a replica" replicate "${ports[i]}" "${ids[i % n_masters]}"
    done
    for i in "${ports[@]}"; do
        until_true "node $i sees the cluster as ok" is_settled "$i"
    done
}

# Ends what this process launched. The nodes are children of this shell, so their pids cannot be stale.
kill_started() {
    if ((${#started[@]} > 0)); then
        kill -KILL "${started[@]}" 2>/dev/null || true
        wait "${started[@]}" 2>/dev/null || true
    fi
}

undo_start() {
    kill_started
    remove_files
}

remove_files() {
    rm -rf "$dir"/node-*
    rm -f "$dir/nodes"
    if [[ -e $dir/.made-by-cluster ]]; then
        rm -f "$dir/.made-by-cluster"
        rmdir "$dir" 2>/dev/null || true
    fi
}

# undo_on_failure FUNCTION: runs it if the script ends by a failure or a signal before `trap - EXIT`
undo_on_failure() {
    # shellcheck disable=SC2064 # the name is meant to be fixed now
    trap "$1" EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

cmd_start() {
    local n_masters=3 n_replicas=3 list tool
    while (($# > 0)); do
        (($# > 1)) || die "$1: a number is missing; see --help"
        [[ $2 =~ ^(0|[1-9][0-9]{0,4})$ ]] || die "$1: not a number: $2"
        case $1 in
            --masters) n_masters=$2 ;;
            --replicas) n_replicas=$2 ;;
            --port) next_port=$2 ;;
            *) die "unknown option $1; see --help" ;;
        esac
        shift 2
    done
    ((n_masters >= 1)) || die "--masters: at least 1"
    ((next_port >= 1024 && next_port <= LAST_PORT)) || die "--port: 1024 to $LAST_PORT"
    for tool in redis-server redis-cli setsid timeout; do
        command -v "$tool" >/dev/null || die "$tool is missing; try make deps"
    done
    compgen -G "$dir/node-*" >/dev/null && die "$dir holds a cluster already; stop it first"

    undo_on_failure undo_start
    if [[ ! -d $dir ]]; then
        mkdir -p "$dir"
        : >"$dir/.made-by-cluster"
    fi
    start_nodes $((n_masters + n_replicas))
    form_cluster "$n_masters"
    list=$(printf "$HOST:%d," "${ports[@]}")
    echo "${list%,}" >"$dir/nodes"
    echo "nodes=${list%,}"
    trap - EXIT
}

# Sets `ports` to those of the nodes in `dir`.
find_nodes() {
    local home
    for home in "$dir"/node-*; do
        [[ ! -d $home ]] || ports+=("${home##*/node-}")
    done
    ((${#ports[@]} > 0)) || die "$dir holds no cluster"
}

# pid_of PORT: prints the pid if the node runs; else fails
pid_of() {
    local pid='' home
    home=$(home_of "$1")
    [[ ! -r $home/pid ]] || read -r pid <"$home/pid" || true
    [[ $pid =~ ^[0-9]+$ ]] && is_node "$pid" "$home" && echo "$pid"
}

cmd_restart() {
    local port
    find_nodes
    undo_on_failure kill_started
    for port in "${ports[@]}"; do
        pid_of "$port" >/dev/null || launch "$port"
    done
    for port in "${ports[@]}"; do
        await_node "$port" || die "node $port does not start; see $(home_of "$port")/log"
    done
    for port in "${ports[@]}"; do
        until_true "node $port sees the cluster as ok" is_settled "$port"
    done
    trap - EXIT
}

cmd_stop() {
    local port pid deadline
    find_nodes
    for port in "${ports[@]}"; do
        ! pid=$(pid_of "$port") || kill -TERM "$pid" 2>/dev/null || true
    done
    deadline=$((SECONDS + 5))
    for port in "${ports[@]}"; do
        while pid=$(pid_of "$port"); do
            ((SECONDS < deadline)) || kill -KILL "$pid" 2>/dev/null || true
            sleep 0.02
        done
    done
    remove_files
}

cmd_status() {
    local port pid answer role state all_ok=0
    find_nodes
    for port in "${ports[@]}"; do
        if ! pid=$(pid_of "$port"); then
            echo "$HOST:$port down"
            all_ok=1
            continue
        fi
        answer=$(printf 'role\ncluster info\n' | cli "$port" || true)
        role=$(head -n 1 <<<"$answer")
        state=$(sed -n 's/^cluster_state:\([a-z]*\).*/\1/p' <<<"$answer")
        echo "$HOST:$port pid $pid role ${role/slave/replica} state ${state:-unknown}"
        [[ $state == ok ]] || all_ok=1
    done
    return "$all_ok"
}

started=() # pids of nodes launched by this process
ports=()
next_port=7000

case ${1:-} in
    --help | -h)
        usage
        exit 0
        ;;
    start | restart | stop | status)
        [[ -n ${2:-} && ${2:-} != --* ]] || die "$1: a directory is missing; see --help"
        dir=$(realpath -m -- "$2")
        command=$1
        shift 2
        [[ $command == start || $# == 0 ]] || die "$command: unexpected $1"
        "cmd_$command" "$@"
        ;;
    *)
        usage >&2
        exit 2
        ;;
esac
