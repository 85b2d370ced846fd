#!/usr/bin/env bash
# run.sh [BUILD] — a Redis Cluster and two frontends on loopback, until Ctrl-C; for `make run`.
#
# BUILD is where the programs are (default: build). Everything it makes is in one temporary folder and in
# processes with sessions of their own; all of it goes when it ends.
#   SLUICE_QUOTAS       the quota file (default: deploy/sample/quotas.yaml)
#   SLUICE_RUN_SECONDS  end by itself after so many seconds (default: never)
set -euo pipefail
cd "$(dirname "$0")/.."

readonly HOST=127.0.0.1
readonly N_FRONTENDS=2
readonly FIRST_PORT=7380 # a frontend takes one port for checks and the next for admin
readonly PORT_STEP=10    # from a frontend to the next
readonly PATIENCE_S=30
readonly BUILD=${1:-build}
readonly QUOTAS=${SLUICE_QUOTAS:-deploy/sample/quotas.yaml}
readonly RUN_SECONDS=${SLUICE_RUN_SECONDS:-}
unset SLUICE_RUN_SECONDS # not one of sluiced's variables

dir=''
names=() # of frontends, and at the same index:
ports=()
pids=()
declare -A dead_nodes=()

say() {
    printf '%s\n' "$*" || true # the terminal may be gone; cleaning up goes on
}

die() {
    printf 'run.sh: %s\n' "$*" >&2 || true
    exit 2
}

# Ends the frontends first, so that what is in flight is still answered, then the nodes.
clean_up() {
    local code=$?
    trap '' HUP INT TERM
    set +e
    ((${#pids[@]} == 0)) || kill -TERM "${pids[@]}" 2>/dev/null
    for pid in "${pids[@]}"; do
        end_within 10 "$pid"
    done
    if [[ -n $dir ]]; then
        ! compgen -G "$dir/cluster/node-*" >/dev/null || deploy/cluster/cluster.sh stop "$dir/cluster"
        rm -rf "$dir"
    fi
    exit "$code"
}

# end_within SECONDS PID: waits for a child of this shell, then kills it.
end_within() {
    local deadline=$((SECONDS + $1))
    while kill -0 "$2" 2>/dev/null; do
        ((SECONDS < deadline)) || kill -KILL "$2" 2>/dev/null
        sleep 0.02
    done
    wait "$2" 2>/dev/null
}

is_listening() {
    (: <>"/dev/tcp/$HOST/$1") 2>/dev/null
}

# http_code PORT PATH
http_code() (
    exec 3<>"/dev/tcp/$HOST/$1" && printf 'GET %s HTTP/1.0\r\n\r\n' "$2" >&3 &&
        read -t 2 -r _ code _ <&3 && printf '%s' "$code"
) 2>/dev/null

# launch NAME PORT: starts a frontend. 1 when the port was taken meanwhile.
launch() {
    local log=$dir/$1.log out=$dir/$1.out pid deadline=$((SECONDS + PATIENCE_S))
    setsid "$BUILD/sluiced" --listen "$HOST:$2" --admin-listen "$HOST:$(($2 + 1))" --quotas "$QUOTAS" \
        --redis-nodes "$(<"$dir/cluster/nodes")" --fleet-size "$N_FRONTENDS" \
        --quota-snapshot "$dir/$1.snapshot" </dev/null >"$out" 2>"$log" &
    pid=$!
    pids+=("$pid")
    until grep -q '^ready ' "$out" && [[ $(http_code $(($2 + 1)) /readyz) == 200 ]]; do
        if ! kill -0 "$pid" 2>/dev/null; then
            unset 'pids[-1]'
            ! grep -qi 'address already in use' "$log" || return 1
            cat "$log" >&2
            die "$1 ended at once; what it wrote is above"
        fi
        if ((SECONDS >= deadline)); then
            cat "$log" >&2
            die "$1 is not ready after $PATIENCE_S s; what it wrote is above"
        fi
        sleep 0.05
    done
    names+=("$1")
    ports+=("$2")
}

start_frontends() {
    local port=$FIRST_PORT name
    while ((${#names[@]} < N_FRONTENDS)); do
        name=frontend-$((${#names[@]} + 1))
        ((port < 32000)) || die "no free ports"
        if is_listening "$port" || is_listening $((port + 1)) || ! launch "$name" "$port"; then
            say "port $port or $((port + 1)) is taken; $name goes to $((port + PORT_STEP))"
        fi
        port=$((port + PORT_STEP))
    done
}

print_welcome() {
    local i
    say "Sluice runs."
    say
    for i in "${!names[@]}"; do
        say "  ${names[i]}  checks $HOST:${ports[i]}  admin http://$HOST:$((ports[i] + 1))"
    done
    say "  redis       $(<"$dir/cluster/nodes")"
    say "  quotas      $QUOTAS"
    say "  logs        $dir"
    say
    say "Try, in another terminal:"
    say
    say "  $BUILD/sluice check demo hello alice --server $HOST:${ports[0]} --server $HOST:${ports[1]}"
    say "  $BUILD/sluice replay tests/fixtures/access_small.log --tenant demo --resource hello --speed 0 --server $HOST:${ports[0]}"
    say "  $BUILD/sluicectl quota set demo hello --rate 100/s --burst 200 --wait --admin $HOST:$((ports[0] + 1))"
    say "  $BUILD/sluicectl status --admin $HOST:$((ports[0] + 1))"
    say "  curl http://$HOST:$((ports[0] + 1))/metrics"
    say
    say "Ctrl-C ends it and leaves nothing behind."
}

# report_death NAME LOG
report_death() {
    say "$1 died; its last lines ($2):"
    tail -n 5 "$2" || true
}

# has_ended PID: true for a zombie as well, whose command line is empty
has_ended() {
    ! IFS= read -rd '' _ 2>/dev/null <"/proc/$1/cmdline"
}

# Stays until a signal comes, the time is up or no frontend is left, and reports who dies.
watch_over() {
    local i home
    while [[ -z $RUN_SECONDS ]] || ((SECONDS < 10#$RUN_SECONDS)); do
        sleep 0.5 &
        wait $! # unlike a plain sleep, ends at once on a signal
        for i in "${!pids[@]}"; do
            if has_ended "${pids[i]}"; then
                unset "pids[i]"
                report_death "${names[i]}" "$dir/${names[i]}.log"
            fi
        done
        for home in "$dir"/cluster/node-*; do
            if [[ -z ${dead_nodes[$home]:-} && -r $home/pid ]] && has_ended "$(<"$home/pid")"; then
                dead_nodes[$home]=yes
                report_death "redis node $HOST:${home##*/node-}" "$home/log"
            fi
        done
        ((${#pids[@]} > 0)) || die "no frontend is left"
    done
}

[[ -x $BUILD/sluiced ]] || die "$BUILD/sluiced is not built; run make first"
[[ -r $QUOTAS ]] || die "cannot read $QUOTAS"
[[ $RUN_SECONDS =~ ^[0-9]*$ ]] || die "SLUICE_RUN_SECONDS: not a number: $RUN_SECONDS"

trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
dir=$(mktemp -d "${TMPDIR:-/tmp}/sluice-run.XXXXXX")
say "starting a Redis Cluster and $N_FRONTENDS frontends ..."
deploy/cluster/cluster.sh start "$dir/cluster" >"$dir/cluster.out"
start_frontends
print_welcome
trap 'exit 0' HUP INT TERM # from here on, that is how it is meant to end
SECONDS=0
watch_over
