#!/bin/sh
# check_layers.sh — every #include against the floors of the house; prints what points up, exits 1 if any does.
#
# A floor may include itself and what stands below it. Single owners: generated protobuf code only in
# proto/wire*, hiredis only in redis_reply, clocks only in base/clock, libmicrohttpd only in
# admin/http, libcurl only in admin/ctl/http_client. "call" is what of ctl asks the admin API, for cmd as well.
set -u
cd "$(dirname "$0")/.." || exit 2
bad=0

find server proto client admin -name '*.[ch]' -exec grep -n '^#include' {} + | awk -F: '
# The floor of a file, as a word.
function floor_of(path) {
    if (path ~ /^server\/main\.c$/) return "main"
    if (path ~ /^server\/[a-z_]+\.[ch]$/) return "house"
    if (path ~ /^server\//) { split(path, part, "/"); return part[2] }
    if (path ~ /^client\/cmd\//) return "cmd"
    if (path ~ /^admin\/ctl\/(api|columns|field|http_client|settings|url)\.[ch]$/) return "call"
    if (path ~ /^admin\/ctl\//) return "ctl"
    if (path ~ /^(client|proto|admin)\//) { split(path, part, "/"); return part[1] }
    return ""
}
BEGIN {
    may["base"] = "base"
    may["core"] = "core base"
    may["store"] = "store core base"
    may["limit"] = "limit store core base"
    may["quota"] = "quota store core base"
    may["net"] = "net limit store core base proto"
    may["house"] = "house net quota limit store core base proto"
    may["main"] = "house net quota limit store core base proto admin"
    may["admin"] = "admin house net quota limit store core base"
    may["proto"] = "proto"
    may["call"] = "call base"
    may["ctl"] = "ctl call cmd quota core base"
    may["client"] = "client proto core base"
    may["cmd"] = "cmd call client proto limit store quota core base"
}
function complain(text) { printf "%s:%s: %s\n", $1, $2, text; bad = 1 }
{
    from = floor_of($1)
    what = $3
    for (i = 4; i <= NF; i++) what = what ":" $i
    if (what ~ /"/) {
        split(what, quoted, "\"")
        target = quoted[2]
        if (target ~ /pb-c\.h$/) {
            if ($1 !~ /^proto\/wire(_[a-z]+)?\.[ch]$/) complain("generated protobuf code belongs to proto/wire*")
            next
        }
        to = floor_of(target)
        if (to == "") complain("include \"" target "\" from the top of the tree")
        else if ((" " may[from] " ") !~ (" " to " ")) complain(from " may not see " to " (" target ")")
        if (from == "limit" && to == "store" && target != "server/store/store.h")
            complain("limit sees the store as store.h only")
        if (from == "quota" && to == "store" && target != "server/store/redis_reply.h")
            complain("quotas see of the store the replies of Redis only")
        if (from == "client" && to == "base" && target !~ /base\/(buf|clock|hash|list|status)\.h$/)
            complain("the client library takes only buf, clock, hash, list and status from base")
        if (from == "client" && to == "core" && target !~ /core\/(bucket|table)\.h$/)
            complain("the client library takes only bucket and table from core")
        if (from == "ctl" && to == "cmd" && target !~ /cmd\/(options|show|terminal)\.h$/)
            complain("ctl takes only options, show and terminal from cmd")
    } else {
        if (what ~ /<curl\// && $1 != "admin/ctl/http_client.c") complain("libcurl belongs to http_client.c")
        if (what ~ /<hiredis\// && $1 !~ /^server\/store\/redis_reply\.c$/) complain("hiredis belongs to redis_reply.c")
        if (what ~ /<microhttpd\.h>/ && $1 != "admin/http.c") complain("libmicrohttpd belongs to admin/http.c")
        if (what ~ /<yaml\.h>/ && $1 !~ /^server\/base\/yaml_file\.c$/) complain("libyaml belongs to yaml_file.c")
        if (what ~ /<ev\.h>/ && from ~ /^(base|core|limit|quota|proto)$/) complain(from " knows no event loop")
        if (what ~ /<(stdio|unistd|time)\.h>/ && from == "core") complain("core does no I/O and reads no clock")
    }
}
END { exit bad }' || bad=1

clocks=$(find server proto client admin -name '*.[ch]' ! -path server/base/clock.c -exec \
    grep -nE '\b(clock_gettime|gettimeofday|ev_time) *\(|[^_a-z.>]time *\(NULL' {} +)
if [ -n "$clocks" ]; then
    printf '%s\n' "$clocks" | sed 's/$/   <- clocks are read in server\/base\/clock.c alone/'
    bad=1
fi
exit "$bad"
