#!/bin/sh
# bigram.sh - the full-size bigram protocol: 4096 words, width 64, embedding and readout under one (eta, beta)
#
# 1. The reference: gradient descent on the whole text (batch 0) from the same start, the least loss it comes to.
# 2. The sweep: for each batch size the schedules, an eta grid and seeds; learnt means 92 % of the gap from ln V to 1.
# 3. The table and the plots of bench compare.
# Both files are resumed: the same command goes on after an interruption, and a wider grid adds to what is there. Another
# text (MOMENTSCOPE_TEXT) wants another OUT.
# --protocol authors: the experiment of the authors of 2605.28961 instead, bigram_authors.sh.
set -eu
if [ "${1:-}" = --protocol ]; then
    [ "${2:-}" = authors ] || { echo "bigram.sh: --protocol is '${2:-}', expected authors" >&2; exit 2; }
    exec "$(dirname "$0")/bigram_authors.sh"
fi
build=${BUILD:-build}
out=${OUT:-$build/bigram}
run=${RUN:-}                       # in front of every sweep: "mpirun -n 9", "nice -n 15"
jobs=${JOBS:-2}
seeds=${SEEDS:-2}
batches=${BATCHES:-128 1024}       # the protocol goes from 1 to 16384
etas=${ETAS:-}                     # default: around what is stable at the batch size; see below
eps=${EPS:-0.1}                    # 1 - beta
schedules=${SCHEDULES:-sgd,constant,cosine}
size=${SIZE:---grid words=4096 --grid d=64}

mkdir -p "$out"

# run FILE OPTION...: a sweep
bench() {
    file=$1
    shift
    # shellcheck disable=SC2086
    $run "$build/momentscope" bench run bigram $size --jobs "$jobs" --out "$out/$file" "$@"
}

echo "full-batch reference:"
bench reference.jsonl --grid batch=0 --grid eta="${REFERENCE_ETAS:-150,300}" --grid eps=0.1 --steps "${REFERENCE_STEPS:-100}" --every 10
nats=$(sed -n 's/.*"total":{[^}]*"end":\([0-9.]*\),.*/\1/p' "$out/reference.jsonl" | sort -g | head -n 1)
[ -n "$nats" ] || { echo "bigram.sh: every full-batch run diverged; give smaller REFERENCE_ETAS" >&2; exit 1; }
echo "reference $nats nats"

for batch in $batches; do
    # Runs that do not get there in these steps are shown as '>steps': at constant rates the noise of small batches can
    # hold the loss above the target. Larger batches bear a larger eta (EMA form: m <- beta m + (1 - beta) g; theta <- theta - eta m).
    steps=${STEPS:-$(awk -v b="$batch" 'BEGIN { printf "%d", 200 + 250000 / b }')}
    some=${etas:-$(awk -v b="$batch" 'BEGIN { x = (b / 16) ^ (1 / 3); printf "%.4g,%.4g,%.4g", 5 * x, 10 * x, 20 * x }')}
    echo "batch $batch, $steps steps, eta $some:"
    bench runs.jsonl --grid batch="$batch" --grid reference="$nats" --schedules "$schedules" --grid eta="$some" \
        --grid eps="$eps" --seeds "$seeds" --steps "$steps" --every $((steps / 30 + 1))
done

"$build/momentscope" bench compare --plot "$out/plot" "$out/runs.jsonl"
"$build/momentscope" bench compare --svg --plot "$out/plot" "$out/runs.jsonl" >/dev/null
echo "plots in $out"
