#!/bin/sh
# Runs the tour of README.md and the labs as typed, and checks what the documents say of themselves:
# the two readmes have the same headings and commands, links lead somewhere, named files exist.
#
#   sh tests/docs/tour_test.sh            with build/release/bin
#   bin=DIR sh tests/docs/tour_test.sh    with the programs in DIR
#   sh tests/docs/tour_test.sh PAGE…      only those pages
#
# A block fenced as "```sh tour" is run line by line in one shell; one fenced as "```sh tour-demo" is
# started in the background and waited for until it says "ready". Behind a command stand the lines
# it must print:
#   # -> TEXT     one line; … in it stands for anything, a line of … alone for any lines
#   # soon -> TEXT   the same, asked again for at most soon_s seconds until it fits
# Port 6379 and folder /tmp/tour (/tmp/lab) of the text become a free port and a folder of the test's
# own, and redis-cli prints as it does on a terminal. Ctrl-C is the end of each page: it must leave no
# process behind.
set -u
if [ -z "${tour_bounded-}" ]; then # a command that hangs must not hang the suite
    export tour_bounded=1
    exec timeout -k 10 300 sh "$0" "$@"
fi
top=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
bin=${bin:-$top/build/release/bin}
ready_s=30
soon_s=20
stop_s=5
all_s=90 # a page
work=$(mktemp -d) || exit 1
faults=0
commands=0
demo=

fault()
{
    echo "FAULT: $*"
    faults=$((faults + 1))
}

# --- the documents ---------------------------------------------------------------------------

# Code blocks of a markdown file, with their fences.
blocks_of()
{
    awk '/^```/ { print; inside = !inside; next } inside' "$1"
}

# Levels of the headings, in order.
headings_of()
{
    awk '/^```/ { inside = !inside } !inside && /^#+ / { print length($1) }' "$1"
}

check_readmes()
{
    blocks_of "$top/README.md" >"$work/blocks.en"
    blocks_of "$top/readme-zh.md" >"$work/blocks.zh"
    headings_of "$top/README.md" >"$work/headings.en"
    headings_of "$top/readme-zh.md" >"$work/headings.zh"
    diff "$work/blocks.en" "$work/blocks.zh" ||
        fault "README.md and readme-zh.md have different code blocks"
    diff "$work/headings.en" "$work/headings.zh" ||
        fault "README.md and readme-zh.md have different headings"
    for file in README.md readme-zh.md; do
        head -n 1 "$top/$file" | grep -q 'readme-zh.md\|README.md' ||
            fault "$file: no language switch in the first line"
    done
}

# Anchors that a file's headings get, by GitHub's rule.
anchors_of()
{
    awk '/^```/ { inside = !inside } !inside && /^#+ /' "$1" |
        sed -e 's/^#* //' -e 's/[`*]//g' -e 's/\[\([^]]*\)\]([^)]*)/\1/g' |
        tr '[:upper:]' '[:lower:]' | sed -e 's/[][!"#$%&'"'"'()*+,./:;<=>?@^{|}~]//g' -e 's/ /-/g'
}

check_links()
{
    find "$top" -name '*.md' -not -path '*/build/*' -not -path '*/.git/*' | sort >"$work/pages"
    while read -r page; do
        folder=$(dirname "$page")
        awk '/^```/ { inside = !inside } !inside' "$page" | sed 's/`[^`]*`//g' |
            grep -o ']([^) ]*)' | sed 's/^](\(.*\))$/\1/' | sort -u |
            while read -r link; do
                case $link in
                http://* | https://* | mailto:*) continue ;;
                esac
                target=${link%%#*}
                file=$page
                [ -n "$target" ] && file=$folder/$target
                if [ ! -e "$file" ]; then
                    echo "FAULT: ${page#"$top"/}: $link leads nowhere"
                    continue
                fi
                case $link in
                *#*)
                    anchors_of "$file" | grep -Fqx -- "${link#*#}" ||
                        echo "FAULT: ${page#"$top"/}: $link: no such heading"
                    ;;
                esac
            done
    done <"$work/pages" >"$work/links"
    cat "$work/links"
    faults=$((faults + $(wc -l <"$work/links")))
}

# Pages and scripts that README names in backquotes.
check_names()
{
    blocks_of "$top/README.md" >"$work/named"
    grep -o '`[a-z][a-z0-9_-]*/[a-zA-Z0-9_./-]*`' "$top/README.md" | tr -d '`' >>"$work/named"
    grep -oE '\b(docs|tests|cli|storage|ring|replication|router)/[a-zA-Z0-9_/-]+\.[a-z]+' \
        "$work/named" | sort -u |
        while read -r name; do
            [ -e "$top/$name" ] || echo "FAULT: README.md names $name, which does not exist"
        done >"$work/missing"
    cat "$work/missing"
    faults=$((faults + $(wc -l <"$work/missing")))
}

# --- the tour --------------------------------------------------------------------------------

# Cuts page $1 into steps: $work/steps/NNN.command, .want, and .soon or .demo.
cut_steps()
{
    rm -rf "$work/steps"
    mkdir "$work/steps"
    awk -v folder="$work/steps" '
        function name(suffix) { return sprintf("%s/%03d.%s", folder, step, suffix) }
        /^```sh tour-demo$/ { inside = 1; demo = 1; more = 0; next }
        /^```sh tour$/ { inside = 1; demo = 0; more = 0; next }
        /^```/ { inside = 0; next }
        !inside || /^$/ { next }
        /^# soon -> / { print substr($0, 11) >name("want"); printf "" >name("soon"); next }
        /^# -> / { print substr($0, 6) >name("want"); next }
        /^#/ { next }
        {
            if (!more) {
                step++
                printf "" >name("want")
                if (demo)
                    printf "" >name("demo")
            }
            print >name("command")
            more = /\\$/
        }' "$1"
    sed -i -e "s#/tmp/\(tour\|lab\)#$work/\1#g" -e "s/\([-:p ]\)6379/\1$port/g" \
        -e "s#\$PWD/build/release/bin#$bin#" "$work"/steps/*
}

# Line by line: lines of $1 against patterns of $2.
fits()
{
    awk '
        function matches(line, pattern, parts, count, i, at) {
            count = split(pattern, parts, "…")
            if (substr(line, 1, length(parts[1])) != parts[1])
                return 0
            line = substr(line, length(parts[1]) + 1)
            if (count == 1)
                return line == ""
            for (i = 2; i < count; i++) {
                at = index(line, parts[i])
                if (parts[i] != "" && at == 0)
                    return 0
                line = substr(line, at + length(parts[i]))
            }
            return length(line) >= length(parts[count]) &&
                substr(line, length(line) - length(parts[count]) + 1) == parts[count]
        }
        function from(l, w) {
            if (w > wants)
                return l > lines
            if (want[w] == "…")
                return from(l, w + 1) || (l <= lines && from(l + 1, w))
            return l <= lines && matches(line[l], want[w]) && from(l + 1, w + 1)
        }
        FNR == 1 { file++ }
        FILENAME == ARGV[1] { line[++lines] = $0; next }
        { want[++wants] = $0 }
        END { exit !from(1, 1) }' "$1" "$2"
}

passed()
{
    echo $(($(date +%s) - $1))
}

start_demo()
{
    command=$(cat "$1.command")
    [ "$bin" = "$top/build/release/bin" ] ||
        command=$(echo "$command" | sed "s#sh cli/demo.sh#ringcask demo#")
    echo "\$ $command"
    : >"$work/demo.out" # or the page before is found ready
    sh -c "exec $command --resp 127.0.0.1:$port" >"$work/demo.out" 2>"$work/demo.err" &
    demo=$!
    while ! grep -q '^ready ' "$work/demo.out"; do
        if ! kill -0 "$demo" 2>/dev/null || [ "$(passed "$page_begin")" -gt "$ready_s" ]; then
            cat "$work/demo.out" "$work/demo.err"
            fault "the demo does not get ready"
            return 1
        fi
        sleep 0.1
    done
    commands=$((commands + 1))
    check_output "$1" "$work/demo.out"
}

check_output()
{
    fits "$2" "$1.want" && return 0
    echo "--- printed"
    cat "$2"
    echo "--- the page says"
    cat "$1.want"
    fault "the output of \"$(cat "$1.command")\" differs"
    return 1
}

# One command, in this very shell, so that what it exports stays.
run_step()
{
    echo "\$ $(cat "$1.command")"
    commands=$((commands + 1))
    . "$1.command" >"$work/out" 2>&1
    while [ -e "$1.soon" ] && ! fits "$work/out" "$1.want" && [ "$waited" -lt $((soon_s * 5)) ]; do
        sleep 0.2
        waited=$((waited + 1))
        . "$1.command" >"$work/out" 2>&1
    done
    check_output "$1" "$work/out"
}

run_page()
{
    cut_steps "$1"
    page_begin=$(date +%s)
    for step in "$work"/steps/*.command; do
        waited=0
        if [ "$(passed "$page_begin")" -gt "$all_s" ]; then
            fault "${1#"$top"/} takes longer than $all_s s"
            return
        fi
        if [ -e "${step%.command}.demo" ]; then
            start_demo "${step%.command}" || return
        else
            run_step "${step%.command}" || return
        fi
    done
}

# Ctrl-C in the demo's terminal.
end_demo()
{
    kill -INT "$demo"
    wait "$demo"
    code=$?
    demo=
    [ "$code" -eq 0 ] || fault "the demo ends with exit code $code"
    waited=0
    while left=$(pgrep -f "$work/\(tour\|lab\)") && [ "$waited" -lt $((stop_s * 5)) ]; do
        sleep 0.2
        waited=$((waited + 1))
    done
    [ -z "$left" ] || fault "processes outlive the demo: $left"
    rm -rf "$work/tour" "$work/lab" # each page begins with nothing
}

# A port nobody listens on; 6379 if that is free.
free_port()
{
    for candidate in 6379 $((20000 + $$ % 10000)) $((30000 + $$ % 2000)); do
        redis-cli -p "$candidate" ping 2>&1 | grep -q 'Connection refused' &&
            echo "$candidate" && return
    done
    echo 0
}

stop()
{
    if [ -n "$demo" ] && kill -0 "$demo" 2>/dev/null; then
        kill "$demo"
        wait "$demo" 2>/dev/null
    fi
    for pid in $(pgrep -f "$work/\(tour\|lab\)"); do # what a failed tour has left
        kill -9 "$pid" 2>/dev/null
    done
    rm -rf "$work"
}
trap stop EXIT
trap 'exit 1' INT TERM HUP

begin=$(date +%s)
check_readmes
check_links
check_names
port=$(free_port)
[ -x "$bin/ringcask" ] || fault "$bin/ringcask is not built"
[ "$faults" -eq 0 ] || echo "(the documents have faults; the tour is run all the same)"
mkdir "$work/bin"
printf '#!/bin/sh\nexec %s --no-raw "$@"\n' "$(command -v redis-cli)" >"$work/bin/redis-cli"
chmod +x "$work/bin/redis-cli"
PATH=$work/bin:$bin:$PATH
cd "$top" || exit 1
[ $# -gt 0 ] || set -- README.md $(grep -l '^```sh tour-demo$' docs/labs/*.md)
for page in "$@"; do
    [ -x "$bin/ringcask" ] || break
    run_page "$top/$page"
    [ -z "$demo" ] || end_demo
done
echo "# tour: $commands commands, $(wc -l <"$work/pages") pages, $faults faults, $(passed "$begin") s"
[ "$faults" -eq 0 ] && [ "$commands" -gt 0 ]
