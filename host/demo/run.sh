#!/bin/sh
# run.sh - daemon, trainer on real text, monitor: the whole path once, with a verdict at the end
#
#   TEXT="file ..."    train on these files instead of the prose found on the machine
#   PLOT=FILE          draw the bands at the end, SVG or PNG
#   REPORT=FILE        where the page of the run is written; else demo.html in BUILD, or here
#   DEMO_ARGS="..."    options for the trainer; demo_trainer --help lists them
#   BUILD=DIR          where the three programs are; those that are not there are looked for on PATH
set -eu
BUILD=${BUILD:-build}
PATH=$BUILD:$PATH
dir=$(mktemp -d "${TMPDIR:-/tmp}/momentscope-demo.XXXXXX")
daemon='' trainer='' watch=''

finish() {
    for pid in $watch $trainer $daemon; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM

export MOMENTSCOPE_INGEST="ipc://$dir/ingest.ipc"
export MOMENTSCOPE_TELEMETRY="ipc://$dir/telemetry.ipc"
export MOMENTSCOPE_REPLAY="ipc://$dir/replay.ipc"

momentscoped >"$dir/daemon.log" 2>&1 &
daemon=$!
tries=0
until [ -S "$dir/telemetry.ipc" ]; do
    tries=$((tries + 1))
    if [ "$tries" -gt 100 ] || ! kill -0 "$daemon" 2>/dev/null; then
        echo "the daemon did not start:"
        cat "$dir/daemon.log"
        exit 1
    fi
    sleep 0.05
done
echo "momentscoped is up; now the trainer starts: a next-word model on real text"

# shellcheck disable=SC2086 # lists of words on purpose
demo_trainer ${DEMO_ARGS:-} ${TEXT:-} >"$dir/trainer.log" 2>&1 &
trainer=$!
every=6
[ -t 1 ] && every=0.25
momentscope watch --every "$every" &
watch=$!
status=0
wait "$trainer" || status=$?
trainer=''
sleep 0.5                       # one more publication
kill -INT "$watch" 2>/dev/null || true
wait "$watch" 2>/dev/null || true
watch=''

echo
echo "== the trainer =="
cat "$dir/trainer.log"
[ "$status" -eq 0 ] || exit "$status"
echo
echo "== the verdict =="
momentscope watch --once ${PLOT:+--plot "$PLOT"}
[ -d "$BUILD" ] && report=$BUILD/demo.html || report=momentscope-demo.html
report=${REPORT:-$report}
if momentscope report --out "$report" >/dev/null; then
    echo
    echo "the run as a page, to look at and to send: $report"
fi
kill -TERM "$daemon"
wait "$daemon" 2>/dev/null || true
daemon=''
