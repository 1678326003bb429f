#!/bin/sh
# bigram_authors.sh - the bigram experiment of the authors of 2605.28961 (bigram.sh --protocol authors)
#
# 1. The reference: Adam on the law itself, cosine to 0, two rates; the lower loss.
# 2. For each batch and seed every eta x beta, constant, eta scaled by (1+beta)/(1-beta); T = TOKENS/B within limits.
# 3. bigram_crossing.py: steps to close 70, 85, 92 and 96 % of the gap, S_0/S* by batch, the crossing and its prediction.
# The defaults are theirs: days on one processor. SCALE=machine is what one machine does in minutes. Every size can be
# set by itself; what is there is kept, so the same command goes on, and a wider grid adds to it.
set -eu
build=${BUILD:-build}
run=${RUN:-}
here=$(dirname "$0")
case ${SCALE:-authors} in
authors)
    words=4096 d=64 batches="1 2 4 8 16 32 64 128 256 1024 4096 16384" tokens=4e7 shortest=20000 longest=10000000
    etas=0.0625,0.125,0.25,0.5,1,2,4,8,16,32,64,128,256 betas="0 0.5 0.8 0.9 0.95 0.98 0.99 0.995" steps=200000
    rates=0.01,0.03 ;;
machine)
    words=128 d=8 batches="4 16 64 256 1024" tokens=2e5 shortest=2000 longest=100000
    etas=0.0078125,0.015625,0.03125,0.0625,0.125,0.25,0.5,1,2,4,8,16,32 betas="0 0.9 0.98" steps=10000 rates=0.01,0.03 ;;
*)
    echo "bigram_authors.sh: SCALE is '$SCALE', expected authors or machine" >&2
    exit 2 ;;
esac
words=${WORDS:-$words} d=${D:-$d} batches=${BATCHES:-$batches} tokens=${TOKENS:-$tokens} etas=${ETAS:-$etas}
betas=${BETAS:-$betas} rates=${REFERENCE_ETAS:-$rates} steps=${REFERENCE_STEPS:-$steps} seeds=${SEEDS:-2}
shortest=${SHORTEST:-$shortest} longest=${LONGEST:-$longest}
schedule=${SCHEDULE:-constant} co=${CO:-0} scaled=${SCALED_ETAS:-1} jobs=${JOBS:-2}
out=${OUT:-$build/bigram-authors-$words-$d}

mkdir -p "$out"

# bench FILE OPTION...: a sweep
bench() {
    file=$1
    shift
    # shellcheck disable=SC2086
    $run "$build/momentscope" bench run bigram-pairs --grid words="$words" --grid d="$d" --jobs "$jobs" \
        --out "$out/$file" "$@"
}

echo "scale: $words words, width $d, batches $batches"
echo "$tokens pairs a run within $shortest to $longest steps, $seeds seeds"
bench reference.jsonl --grid batch=0 --schedules adam-cosine --grid eta="$rates" --grid warmup=0 --steps "$steps" \
    --every "$((steps / 50 + 1))"
for batch in $batches; do
    length=$(awk -v b="$batch" -v t="$tokens" -v lo="$shortest" -v hi="$longest" \
        'BEGIN { n = t / b; printf "%d", (n < lo ? lo : (n > hi ? hi : n)) }')
    for beta in $betas; do
        list=$(echo "$etas" | awk -F, -v b="$beta" -v on="$scaled" \
            '{ for (i = 1; i <= NF; i++) printf "%s%.6g", (i > 1 ? "," : ""), (on > 0 ? $i * (1 + b) / (1 - b) : $i) }')
        eps=$(awk -v b="$beta" 'BEGIN { printf "%.6g", 1 - b }')
        set -- --grid batch="$batch" --schedules "$schedule" --grid eta="$list" --grid eps="$eps"
        [ "$schedule" = constant ] || set -- "$@" --grid co="$co"
        bench runs.jsonl "$@" --seeds "$seeds" --steps "$length" --every "$((length / 400 + 1))"
    done
done
"${PYTHON:-python3}" "$here/bigram_crossing.py" "$out/reference.jsonl" "$out/runs.jsonl"
