#!/bin/sh
# Trains and compresses one row of the table of compression in benches/reproduce.md: `benches/compress.sh ROW`.
#
# Rows: binary (BINARY, an .npz file of binarised MNIST), grey, fashion (DATA, the folder of Fashion-MNIST), emoji (DATA, an .npz file
# or a folder of pictures), static (STATIC_MNIST, the .npz file of statically binarised MNIST). ELBO is a built `elbo`, OUT the run.
set -eu
cd "$(dirname "$0")/.."

row=${1:-}
out=${OUT:-runs/compress-$row}
elbo() { if [ -n "${ELBO:-}" ]; then "$ELBO" "$@"; else cargo run --release --quiet -- "$@"; fi; }
train() { elbo train --out "$out" --epochs "${EPOCHS:-20}" --pictures-every 0 "$@"; }
grey="--likelihood beta-binomial --normalise batch --hidden 200 --latents 50 --batch-size 100 --lr 5e-4"

case $row in
binary)
    # Townsend et al. 2019: 784-100-40, dynamically binarised.
    train --binarize dynamic --hidden 100 --latents 40 --batch-size 100
    data=$BINARY
    ;;
grey)
    # The same paper: 784-200-50 with batch normalisation, beta-binomial.
    train $grey
    data=mnist
    ;;
fashion)
    train --data "$DATA" $grey
    data=$DATA
    ;;
emoji)
    EPOCHS=${EPOCHS:-23} train --data "$DATA" --likelihood discretised-logistic
    data=$DATA
    ;;
static)
    train --data "$STATIC_MNIST" --hidden 400,400 --latents 40 --batch-size 100
    data=$STATIC_MNIST
    ;;
*)
    echo "compress: which row? binary, grey, fashion, emoji or static" >&2
    exit 2
    ;;
esac
elbo compress "$out" "$data" --out "$out/test.elbo"
