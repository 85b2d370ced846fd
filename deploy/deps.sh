#!/usr/bin/env bash
# deps.sh — installs those of the Debian packages named as arguments that are missing; called by `make deps`.
#
# Quick and silent when nothing is missing. Starts no service: a redis-server on port 6379 is not wanted here.
set -euo pipefail

readonly POLICY=/usr/sbin/policy-rc.d

die() {
    printf 'deps.sh: %s\n' "$*" >&2
    exit 2
}

# as_root COMMAND...
as_root() {
    if ((EUID == 0)); then
        "$@"
    else
        sudo -- "$@"
    fi
}

# Prints those of the packages that are not fully installed.
print_missing() {
    local installed package
    # shellcheck disable=SC2016 # ${...} is dpkg-query's
    installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null || true)
    for package in "$@"; do
        grep -qxF "$package installed" <<<"$installed" || echo "$package"
    done
}

# Debian asks policy-rc.d before it starts an installed service; 101 means no. One that exists is left alone.
forbid_services() {
    [[ ! -e $POLICY ]] || return 0
    trap 'as_root rm -f "$POLICY"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" >/dev/null
    as_root chmod 755 "$POLICY"
}

(($# > 0)) || die "name the packages to install"
for tool in dpkg-query apt-get; do
    command -v "$tool" >/dev/null || die "no $tool: not Debian; install by hand what corresponds to: $*"
done
mapfile -t missing < <(print_missing "$@")
((${#missing[@]} > 0)) || exit 0

echo "installing: ${missing[*]}"
((EUID == 0)) || command -v sudo >/dev/null ||
    die "neither root nor sudo; as root run: apt-get install --no-install-recommends ${missing[*]}"
forbid_services
as_root apt-get update -q
as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
