#!/usr/bin/env bash
# Measures the GPU at hand: `benches/gpu.sh OUT [MINUTES]`. OUT/report.md is the report, with JSON and logs beside it.
#
# Each step has a time limit of its own; if one fails, the report says so and the next one runs; a step begins only if there is
# time left (8 minutes in total by default). Each measurement is in the report at once, so that the script may be
# interrupted. Exits with 0 if every step that was begun went well, with 1 if one failed, with 2 if nothing can be measured.
#
# From the environment: ELBO, a built `elbo` (otherwise it is built first); ELBO_TESTS, the built test binary, to run the
# test suite too; PYTHON, a Python with PyTorch [python3], to measure that in turn. wgpu's variables choose the adapter.
#
# The limits and groups of processes are bash's own: macOS has no `timeout`.
set -u
caller=$PWD
cd "$(dirname "$0")/.." || exit 2
here=$PWD

complain() { printf 'gpu.sh: %s\n' "$@" >&2; }
fail() {
    complain "$@"
    exit 2
}
absolute() { if [[ $1 = /* ]]; then echo "$1"; else echo "$caller/$1"; fi; }
# A program by its path or its name, from wherever it is called.
program() { if [[ $1 = */* ]]; then absolute "$1"; else command -v "$1" || echo "$1"; fi; }

[ -n "${1:-}" ] || fail "where to? benches/gpu.sh OUT [MINUTES]"
out=$(absolute "$1")
minutes=${2:-8}
report=$out/report.md
[[ $minutes =~ ^[1-9][0-9]{0,3}$ ]] || fail "MINUTES: wanted a whole number from 1 to 9999, found $minutes"
[ ! -e "$report" ] || fail "$report already exists: choose another folder"
if [ -n "${ELBO:-}" ]; then
    ELBO=$(program "$ELBO")
else
    command -v cargo >/dev/null || fail "there is no cargo to build Elbo with: give a built one, ELBO=path"
    cargo build --release || fail "the build failed"
    ELBO=$here/target/release/elbo
fi
[ -x "$ELBO" ] || fail "ELBO: $ELBO is no program"
export ELBO
python=$(program "${PYTHON:-python3}")
work=$(mktemp -d) || fail "cannot make a temporary folder"
SECONDS=0

# Commands in the background have a group of their own, which Ctrl-C does not reach.
job=""
# shellcheck disable=SC2329
end() {
    [ -z "$job" ] || kill -TERM -- "-$job" 2>/dev/null
    rm -rf "$work"
}
# shellcheck disable=SC2329
interrupted() {
    [ ! -e "$report" ] || say "" "**Interrupted here**, after $SECONDS s."
    exit 130
}
trap end EXIT
trap interrupted INT TERM HUP

failed=0
unwritable=""
# Adds lines to the report; if the disk is full, they go to the terminal.
say() {
    if ! printf '%s\n' "$@" 2>/dev/null >>"$report"; then
        [ -n "$unwritable" ] || complain "cannot write $report, here is what it would say:"
        unwritable=yes
        failed=1
        printf '%s\n' "$@"
    fi
}
section() {
    say "" "## $1" ""
    shift
    (($# == 0)) || say "$@" ""
}
fenced() { say "" '```text' "$(cat "$1")" '```' ""; }
# Seconds: what is left, and a share of the whole time, so that no step takes all of a slow adapter's time.
left() { echo $((60 * minutes - SECONDS)); }
part() { echo $((60 * minutes / $1)); }

# Runs a command for at most the given number of seconds: its exit status, or 124 if it had to be ended.
limited() {
    local limit=$1 start=$SECONDS status
    shift
    set -m
    "$@" </dev/null &
    job=$!
    set +m
    while kill -0 "$job" 2>/dev/null && ((SECONDS - start < limit)); do sleep 0.1; done
    if kill -TERM -- "-$job" 2>/dev/null; then
        # Time to write its results; a program that hangs is then killed.
        for _ in {1..50}; do kill -0 "$job" 2>/dev/null && sleep 0.1; done
        kill -KILL -- "-$job"
        wait "$job"
        status=124
    else
        wait "$job"
        status=$?
    fi 2>/dev/null
    job=""
    return "$status"
}

# step NAME SECONDS COMMAND...: runs a command; OUT/NAME.log has what it printed ($printed), and OUT/NAME.err why it failed.
# How it ended is said on the terminal and, unless it went well, in the report.
step() {
    local name=$1 limit=$2 start=$SECONDS status reason outcome
    shift 2
    printed=$out/$name.log
    if (($(left) < 5)); then
        say "- $name: left out, there was no time left"
        complain "$name: left out, there is no time left"
        return 1
    fi
    ((limit <= $(left))) || limit=$(left)
    if ! : 2>/dev/null >"$printed"; then
        complain "$name: left out, cannot write $printed"
        failed=1
        return 1
    fi
    limited "$limit" "$@" >"$printed" 2>"$work/errors"
    status=$?
    reason=$(grep . "$work/errors" | tail -n 1)
    case $status:$reason in
    0:*) outcome="done in $((SECONDS - start)) s" ;;
    124:*) outcome="**ended by its limit** of $limit s" ;;
    2:"error: no GPU adapter: "*) outcome="left out: ${reason#error: no GPU adapter: }" ;;
    *) outcome="**failed** with status $status: ${reason:-$(tail -n 1 "$printed")}" ;;
    esac
    complain "$name: ${outcome//\*/}"
    ((status != 0)) || return 0
    say "- $name: $outcome"
    if [[ $outcome != left* ]]; then
        failed=1
        [ ! -s "$work/errors" ] || cp "$work/errors" "$out/$name.err" 2>/dev/null
    fi
    return 1
}

# The same, and the report shows its output, however it ended.
shown() {
    local status
    step "$@"
    status=$?
    if [ -s "$printed" ]; then fenced "$printed"; fi
    return "$status"
}

limited 60 "$ELBO" adapters >"$work/adapters.log" 2>"$work/errors" ||
    fail "nothing to measure: $(sed 's/^error: //' "$work/errors")"
{ mkdir -p "$out" && cp "$work/adapters.log" "$out" && : >"$report"; } 2>/dev/null || fail "cannot write to $out"
say "# Elbo on $(sed -n 's/^[*] \[[0-9]*\] //p' "$work/adapters.log")" "" \
    "Made by \`benches/gpu.sh\`, which was given $minutes minutes. Each part has a name; \`NAME.log\` beside this file is what it" \
    "printed, \`NAME.json\` the same for programs. What failed, or was left out for want of time, is said in its place."
section "The machine"
fenced "$work/adapters.log"
"$ELBO" adapters --json >"$out/adapters.json" 2>/dev/null
say "- $("$ELBO" --version), commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown); $(date -u '+%Y-%m-%d %H:%M') UTC" \
    "- $(uname -srm), $(getconf _NPROCESSORS_ONLN 2>/dev/null) processors"
if command -v nvidia-smi >/dev/null; then
    say "- $(nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,clocks.max.mem,power.limit --format=csv,noheader)"
fi

section "Self-test" "Every kernel against a reference on the CPU, with every variant of the kernels for products that may be chosen here."
if step selftest "$(part 4)" "$ELBO" selftest; then say "- $(tail -n 1 "$printed")"; fi

section "Speed" \
    "Training with the kernels that were chosen by measuring, and the time of each dispatch of a step by itself. GFLOP/s are those of" \
    "the products, in the time of the whole step; the first step counts from before the device was opened, with the compilation of" \
    "what the driver's cache does not have."
batches=32,128,512,4096
models=("400 20" "1024,1024 64")
# A program measures kernels for two seconds, and the next one the rest.
for round in 1 2 3 4; do
    step "tuning-$round" "$(part 16)" "$ELBO" bench --batch-size "$batches" --seconds 0 || break
    grep -q 'the time is over' "$work/errors" || break
done
for model in "${models[@]}"; do
    read -r hidden latents <<<"$model"
    shown "bench-${hidden%,*}" "$(part 3)" "$ELBO" bench --hidden "$hidden" --latents "$latents" --batch-size "$batches" --seconds 1 \
        --profile --save "$out/bench-${hidden%,*}.json"
done

section "Products" \
    "Each product of a step with every variant of its kernels, the fastest first, and the one that training uses: 1.00 means that it is" \
    "the fastest. Then square products. MB are what the workgroups load and store, if each loads a value once; the expected time is that" \
    "of docs/kernels.md."
shown products "$(part 4)" "$ELBO" bench --batch-size 128,4096 --seconds 0 --products --save "$out/products.json"

section "The published run" \
    "Loss in nats per example; published are 164.4 on the training set over epoch 1, and 105.6 on the test set after 10" \
    "(benches/published.md). Seconds are those of the ten epochs."
for seed in 1 2 3; do
    step "published-$seed" "$(part 12)" "$ELBO" train --seed "$seed" --epochs 10 --out "$work/published-$seed" || continue
    cp "$work/published-$seed/metrics.jsonl" "$out/published-$seed.jsonl" 2>/dev/null
    awk -v seed="$seed" '
        /^epoch / { seconds += $(NF - 1); for (i = 1; i < NF; i++) if ($i == "elbo") loss[++n] = -$(i + 1) }
        END { printf "- seed %d: %.2f over epoch 1, %.2f on the test set after 10, %.1f s\n", seed, loss[1], loss[n], seconds }
    ' "$printed" >"$work/lines"
    say "$(cat "$work/lines")"
done

# With PyTorch: images/s in turn with Elbo's, and the products alone.
torch_in_turn() {
    local mode=$1 model=$2 batch=$3 hidden latents
    read -r hidden latents <<<"$model"
    local name=torch-$mode-${hidden%,*}-$batch
    step "$name" 120 "$python" benches/peers/run.py --rounds 2 --seconds 1 --batch "$batch" --hidden "$hidden" \
        --latents "$latents" --save "$out/$name.json" \
        --ours "'$ELBO' bench --json --hidden {hidden} --latents {latents} --batch-size {batch} --seconds {seconds}" \
        --peer "'$python' benches/peers/torch_vae.py --mode $mode --device $device" || return
    say "$(tail -n 1 "$printed" | awk -F ' *[|] *' -v what="784-${hidden//,/-}-$latents, batch $batch" \
        '{ print "- " what ": Elbo " $4 ", " $2 " " $5 " images/s; Elbo / PyTorch **" $6 "** (" $7 ")" }')"
}
torch_products() {
    local model=$1 batch=$2 hidden latents
    read -r hidden latents <<<"$model"
    local name=sgemm-${hidden%,*}-$batch
    step "$name" 60 "$python" benches/peers/torch_vae.py --mode sgemm --device "$device" --seconds 2 --batch "$batch" \
        --hidden "$hidden" --latents "$latents" || return
    mv "$printed" "$out/$name.json"
    say "- products of 784-${hidden//,/-}-$latents, batch $batch, in f32 by PyTorch: \
$(sed -n 's/.*"gflops_of_a_step": \([0-9]*\).*/\1/p' "$out/$name.json") GFLOP/s"
}
find_torch='import torch; print(torch.__version__, "cuda" if torch.cuda.is_available() else "cpu")'

section "Beside PyTorch"
if ! command -v "$python" >/dev/null; then
    say "There is no $python: left out."
elif ! limited 60 "$python" -c "$find_torch" >"$work/torch" 2>"$work/errors"; then
    say "PyTorch does not start, left out: $(tail -n 1 "$work/errors")"
else
    read -r version device <"$work/torch"
    modes=(eager fused compiled)
    if [ "$device" = cuda ]; then
        say "PyTorch $version, in turn with Elbo, two rounds each." ""
        modes+=(graphs)
    else
        say "PyTorch $version finds no CUDA: **these are its figures on the CPU**, in turn with Elbo, two rounds each." ""
    fi
    for mode in "${modes[@]}"; do torch_in_turn "$mode" "400 20" 128; done
    for model in "${models[@]}"; do
        for batch in 128 4096; do torch_products "$model" "$batch"; done
    done
fi

section "The test suite"
if [ -n "${ELBO_TESTS:-}" ]; then
    step tests $(($(left) / 2)) env CARGO_MANIFEST_DIR="$here" "$(absolute "$ELBO_TESTS")"
    if grep '^test .* FAILED$\|^test result' "$printed" >"$work/lines" 2>/dev/null; then fenced "$work/lines"; fi
else
    say "ELBO_TESTS names no test binary: left out."
fi

# reproduce NAME EPOCHS ROW [VARIABLE=VALUE...]: a row of benches/reproduce.sh, if its first two epochs say that it will fit.
reproduce() {
    local name=$1 epochs=$2 row=$3 seconds
    shift 3
    step "$name-first" 60 env EPOCHS=2 IMPORTANCE_SAMPLES=1 WARMUP=1 OUT="$work/$name-first" "$@" benches/reproduce.sh "$row" ||
        return
    seconds=$(awk -v epochs="$epochs" '/^epoch 2/ { print int(30 + 1.5 * epochs * $(NF - 1)) }' "$printed")
    if ((seconds > $(left))); then
        say "- $name: left out, $epochs epochs would take about $seconds s, and $(left) s are left"
        complain "$name: left out, it would take $seconds s of the $(left) s left"
        return
    fi
    if ! step "$name" "$(left)" env OUT="$work/$name" "$@" benches/reproduce.sh "$row"; then
        say "  - so far: $(tail -n 1 "$printed" 2>/dev/null)"
        return
    fi
    cp "$work/$name/metrics.jsonl" "$out/$name.jsonl" 2>/dev/null
    say "- $name: $(sed -n 's/^ *\(log p(x)\) */\1 /p' "$printed" | tr -s ' '); $(grep -c ^epoch "$printed") epochs in $(awk '/^epoch / \
        { s += $(NF - 1) } END { print int(s) }' "$printed") s"
}

section "Papers' figures" \
    "In nats per example, larger is better; what was published is in benches/reproduce.md. IWAE: 400,000 steps of batch 100." \
    "The first two epochs of a row (\`ROW-first\`) tell whether the rest fits into the time that is left."
for samples in 1 5 50; do
    reproduce "iwae-$samples" 667 iwae K="$samples" BATCH=100 EPOCHS=667
done
# These two stop early; in the papers, after some hundreds of epochs.
reproduce gated 400 gated
reproduce vamp 400 vamp

if [ -n "${modes:-}" ]; then
    section "Beside PyTorch, other sizes"
    for mode in "${modes[@]}"; do torch_in_turn "$mode" "1024,1024 64" 512; done
    for mode in "${modes[@]}"; do torch_in_turn "$mode" "400 20" 512; done
fi

say "" "All of this took $SECONDS s."
[ -n "$unwritable" ] || complain "the report is $report"
exit "$failed"
