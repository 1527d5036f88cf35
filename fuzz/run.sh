#!/usr/bin/env bash
# Builds the fuzzers with stable Rust and runs them: `fuzz/run.sh [SECONDS [TARGET...]]`, by default each for 60 seconds.
# It needs a C++ compiler, for libFuzzer. What a fuzzer finds is kept in `target/corpus`, below this folder or in CARGO_TARGET_DIR,
# so that a later run begins with it; an input that breaks a reader is named, and kept in `target/artifacts`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

seconds=${1:-60}
targets=("${@:2}")
if [ ${#targets[@]} -eq 0 ]; then
    for file in fuzz_targets/*.rs; do targets+=("$(basename "$file" .rs)"); done
fi

# As cargo-fuzz builds without a sanitizer. The target is named so that the flags are not those of build scripts.
host=$(rustc -vV | sed -n 's/^host: //p')
counters="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
compares="-Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares"
checks="--cfg fuzzing -Cdebug-assertions -Ccodegen-units=1"
RUSTFLAGS="$counters $compares $checks" cargo build --release --target "$host"

out=${CARGO_TARGET_DIR:-target}
# The inputs go through files. In memory, they wear out no disk.
memory=/dev/shm
if [ ! -w $memory ]; then memory=${TMPDIR:-/tmp}; fi
TMPDIR=$(mktemp -d -p $memory)
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

failed=()
for target in "${targets[@]}"; do
    printf '\n=== %s ===\n' "$target"
    # The picture formats have headers that ask for up to 2 GiB, and decoders that need more than one buffer of it.
    rss=512
    if [ "$target" = pictures ]; then rss=6144; fi
    mkdir -p "$out/corpus/$target" "$out/artifacts/$target"
    "$out/$host/release/$target" "$out/corpus/$target" "corpus/$target" -artifact_prefix="$out/artifacts/$target/" \
        -max_total_time="$seconds" -max_len=16384 -timeout=20 -rss_limit_mb=$rss -print_final_stats=1 \
        || failed+=("$target")
done

if [ ${#failed[@]} -gt 0 ]; then
    echo "broken: ${failed[*]}" >&2
    exit 1
fi
