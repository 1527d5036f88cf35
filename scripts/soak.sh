#!/usr/bin/env bash
# Kills trainings at random moments and compares what comes out with a run that nothing stopped: `scripts/soak.sh [KILLS]`.
#
# Each run is killed with SIGKILL and resumed until it has ended; then its model, its checkpoint and its metrics must be those of the
# unbroken run, to the bit. With strace, every rename of a run is a moment to be killed at, too, and every fsync and every write of
# a run fails once. ELBO names a built `elbo`; SEED is that of the moments.
set -euo pipefail
cd "$(dirname "$0")/.."

kills=${1:-1000}
RANDOM=${SEED:-1}
if [ -z "${ELBO:-}" ]; then
    cargo build --release --quiet
    ELBO=$PWD/target/release/elbo
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
awk 'BEGIN { for (i = 0; i < 300; i++) { for (j = 0; j < 16; j++) printf "%s%d", j ? "," : "", (i * 37 + j * j * 11) % 256; print "" } }' > data.csv

options=(--data data.csv --hidden 8 --latents 2 --batch-size 16 --epochs 12 --keep 2 --checkpoint-minutes 0.0003 --validation 40)
train=("$ELBO" train "${options[@]}" --quiet --out)

# What a run left, without the times.
result() {
    (cd "$1" && sha256sum model.safetensors best.safetensors checkpoint.safetensors checkpoints/*)
    sed -E 's/"(examples_per_second|seconds)":[^,}]*//g' "$1/metrics.jsonl"
}

lost=0 different=0 done_kills=0 runs=0
fault() {
    echo "soak: $1" >&2
    mkdir -p "$OLDPWD/target/soak" && cp -r "$2" "$OLDPWD/target/soak/fault-$runs" || true
}

# Ends a run that was broken off: by resuming it, or by beginning it again if it has no checkpoint yet.
finish() {
    if [ -e "$1/checkpoint.safetensors" ]; then exec "$ELBO" resume "$1" --quiet; else exec "${train[@]}" "$1"; fi
}

compare() {
    runs=$((runs + 1))
    if ! diff <(result "$1") expected >/dev/null; then
        different=$((different + 1))
        fault "other bits after $2" "$1"
    fi
    rm -rf "$1"
}

start=$(date +%s%N)
"${train[@]}" whole
length=$((($(date +%s%N) - start) / 1000000))
result whole > expected
echo "an unbroken run takes $length ms"

while [ "$done_kills" -lt "$kills" ]; do
    while :; do
        (finish broken) 2> errors &
        process=$!
        sleep "$(awk -v ms=$((RANDOM % (length + length / 4))) 'BEGIN { print ms / 1000 }')"
        if kill -KILL "$process" 2>/dev/null; then
            done_kills=$((done_kills + 1))
            if [ $((done_kills % 100)) -eq 0 ]; then echo "$done_kills kills"; fi
        fi
        code=0
        wait "$process" 2>/dev/null || code=$?
        if [ "$code" -eq 0 ]; then break; fi
        if [ "$code" -ne 137 ]; then
            lost=$((lost + 1))
            fault "exit code $code: $(cat errors)" broken
            rm -rf broken
            break
        fi
    done
    if [ -e broken ]; then compare broken "kills"; fi
done
echo "$done_kills kills, $runs runs: $lost lost, $different with other bits"

# Breaks a run at the N-th call of a thread, for N = 1, 2, ... until a run has no such call.
inject() {
    local calls=$1 fault=$2 moments=0
    for n in $(seq 1 400); do
        code=0
        # In a shell of its own, which does not announce that a child was killed.
        (strace -f -o trace -e "trace=$calls" -e "inject=$calls:$fault:when=$n" "${train[@]}" broken; exit $?) \
            2> errors || code=$?
        if ! grep -q INJECTED trace && [ "$code" -eq 0 ]; then rm -rf broken; break; fi
        moments=$((moments + 1))
        if [ "$code" -ne 0 ] && ! (finish broken) 2> errors; then
            lost=$((lost + 1))
            fault "$calls $fault $n: $(cat errors)" broken
            rm -rf broken
            continue
        fi
        compare broken "$calls $fault $n"
    done
    echo "$moments moments of $calls with $fault: $lost lost, $different with other bits"
}
if command -v strace >/dev/null; then
    inject rename,renameat,renameat2 signal=SIGKILL
    inject fsync error=EIO
    inject write error=ENOSPC
else
    echo "without strace (apt install strace), no rename, fsync or write is made to fail"
fi
[ "$lost" -eq 0 ] && [ "$different" -eq 0 ]
