#!/bin/sh
# embed.sh — turns Lua scripts into one C file that defines a struct script for each (server/store/script.h).
#
# usage: embed.sh OUT.c SCRIPT.lua...
#
# lua/check.lua becomes script_check. A line `-- include lib/bucket.lua` is replaced by that file, found beside
# the script, and so are such lines in it. Lines that are only a comment, blank lines and indentation are dropped:
# they would travel with every SCRIPT LOAD. How many keys a script takes is read off its text: KEYS[1], KEYS[2].
# OUT.c appears whole or not at all.
set -eu

if [ $# -lt 2 ]; then
    echo "usage: embed.sh OUT.c SCRIPT.lua..." >&2
    exit 2
fi
out=$1
shift
body=$out.body
part=$out.part
trap 'rm -f "$body" "$part"' EXIT

# join_script FILE: the text that Redis gets.
join_script() {
    awk -v dir="$(dirname "$1")" '
        function keep(line) {
            sub(/^[ \t]+/, "", line)
            if (line != "" && line !~ /^--/) {
                print line
            }
        }
        function include(file,    line, got, n) {
            n = 0
            while ((got = (getline line < file)) > 0) {
                take(line)
                n++
            }
            close(file)
            if (got < 0 || n == 0) {
                print FILENAME ": cannot include " file > "/dev/stderr"
                exit 1
            }
        }
        function take(line,    words) {
            if (line ~ /^-- include /) {
                split(line, words, " ")
                include(dir "/" words[3])
            } else {
                keep(line)
            }
        }
        { take($0) }
    ' "$1"
}

{
    echo '/* Made by lua/embed.sh from the scripts in lua/; do not edit. */'
    echo '#include "server/store/script.h"'
} >"$part"
for script in "$@"; do
    name=$(basename "$script" .lua)
    join_script "$script" >"$body"
    sha1=$(sha1sum <"$body" | cut -c 1-40)
    n_keys=$(grep -o 'KEYS\[[1-9]\]' "$body" | sort -u | wc -l)
    {
        echo
        echo "static const char ${name}_body[] ="
        sed -e 's/[\\"]/\\&/g' -e 's/^/    "/' -e 's/$/\\n"/' "$body"
        echo '    "";'
        echo
        echo "const struct script script_$name = {"
        echo "    .name = \"$name\","
        echo "    .body = ${name}_body,"
        echo "    .body_bytes = sizeof ${name}_body - 1,"
        echo "    .n_keys = $n_keys,"
        echo "    .sha1 = \"$sha1\","
        echo "};"
    } >>"$part"
done
mv "$part" "$out"
