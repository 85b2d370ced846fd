#!/bin/sh
# run.sh — runs each fuzzer in the folder $1 for FUZZ_SECONDS (default 20); inputs stay in a temporary folder.
#
# A crash, a leak or an input that takes longer than 5 s fails; the input is kept, and its path told.
set -u
cd "$(dirname "$0")/../.." || exit 2
dir=$(mktemp -d "${TMPDIR:-/tmp}/sluice-fuzz.XXXXXX") || exit 2
bad=0
for fuzzer in "$1"/fuzz_*[!.]?; do
    name=$(basename "$fuzzer")
    mkdir "$dir/$name"
    case $name in # what chance alone would take long to find
    fuzz_registry) cp deploy/sample/quotas.yaml "$dir/$name/" ;;
    fuzz_quota_json)
        printf '{"limits":[{"name":"a","algorithm":"leaky_bucket","rate":"0/s","burst":2,"scope":"key"}],%s}' \
            '"on_store_failure":"deny","mode":"shadow"' >"$dir/$name/full"
        printf '{"unlimited":true}' >"$dir/$name/unlimited"
        ;;
    fuzz_redis_reply)
        printf '\377*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$-1\r\n:7001\r\n' >"$dir/$name/slots"
        printf '\377\04417\r\n\1\0\0\0\0\0\0\0\0\100\102\017\0\0\0\0\0\r\n' >"$dir/$name/taken"
        printf '\377\04434\r\n\0020123456789abcde\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\r\n' >"$dir/$name/repeated"
        printf '\377\04446\r\n\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\0\0\0\0\r\n' >"$dir/$name/given"
        ;;
    fuzz_wire) # refund, reserve, settle, an all-or-nothing batch; booked, reserved
        printf '\010\001\102\015\012\001t\022\001r\040\005\052\003abc' >"$dir/$name/refund"
        printf '\010\001\112\020\012\001t\022\001r\050\350\007\060\001\072\003abc' >"$dir/$name/reserve"
        printf '\010\001\122\032\012\001t\022\001r\042\0200123456789abcdef\050\003' >"$dir/$name/settle"
        printf '\010\001\052\014\012\010\012\001t\022\001r\050\001\020\001' >"$dir/$name/batch"
        printf '\010\001\072\010\010\001\020\005\042\002ab' >"$dir/$name/booked"
        printf '\010\001\102\030\012\004\010\001\140\003\022\0200123456789abcdef' >"$dir/$name/reserved"
        ;;
    fuzz_conn) # in one piece: a reservation of the demo quota, then a refund
        printf '\377\0\0\0\0\031\010\002\112\025\012\004demo\022\005hello\040\002\050\350\007\060\001' >"$dir/$name/calls"
        printf '\0\0\0\0\023\010\003\102\017\012\004demo\022\005hello\040\002' >>"$dir/$name/calls"
        ;;
    esac
    if "$fuzzer" -max_total_time="${FUZZ_SECONDS:-20}" -max_len=8192 -timeout=5 -rss_limit_mb=1024 \
        -artifact_prefix="$dir/$name-" "$dir/$name" >"$dir/$name.log" 2>&1; then
        echo "PASS $name  $(sed -n 's/^Done \(.*\)/\1/p' "$dir/$name.log")"
    else
        bad=1
        echo "FAIL $name; its output:"
        tail -n 40 "$dir/$name.log" | sed 's/^/     /'
    fi
done
[ $bad -ne 0 ] || rm -rf "$dir"
exit $bad
