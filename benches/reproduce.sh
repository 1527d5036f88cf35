#!/bin/sh
# Trains and evaluates one row of benches/reproduce.md: `benches/reproduce.sh ROW`.
#
# Rows: static, flax, iwae (with K=1, 5 or 50), gated, vamp. From the environment: STATIC_MNIST, the .npz file of statically
# binarised MNIST (rows static and flax); DATA, another data set, without a validation set, for gated and vamp; SEED; OUT, the run directory;
# ELBO, a built `elbo`, where there is no Cargo to build one.
# EPOCHS, BATCH (iwae), WARMUP (gated, vamp) and IMPORTANCE_SAMPLES (all three) make a run shorter than the published one.
set -eu
cd "$(dirname "$0")/.."

row=${1:-}
seed=${SEED:-1}
name=$row
if [ "$row" = iwae ]; then name=iwae-${K:-1}; fi
out=${OUT:-runs/reproduce-$name}
elbo() { if [ -n "${ELBO:-}" ]; then "$ELBO" "$@"; else cargo run --release --quiet -- "$@"; fi; }

# Trains for EPOCHS, or for as long as the paper did.
train() {
    epochs=$1
    shift
    elbo train --seed "$seed" --out "$out" --epochs "${EPOCHS:-$epochs}" "$@"
}

static_mnist() {
    if [ ! -r "${STATIC_MNIST:-}" ]; then
        echo "reproduce: set STATIC_MNIST to the .npz file of statically binarised MNIST (arrays train, valid, test)" >&2
        exit 2
    fi
}

case $row in
static)
    # Rezende & Mohamed 2015, as pythae reproduces it; 0.631 is 10^(-1/5).
    static_mnist
    train 500 --data "$STATIC_MNIST" --hidden 400 --latents 40 --batch-size 100 --lr 1e-4 \
        --lr-schedule steps --lr-factor 0.6309573444801932 --lr-milestones 200,350,500
    elbo eval "$out" --importance-samples 200
    ;;
flax)
    # flax's VAE example.
    static_mnist
    train 10 --data "$STATIC_MNIST" --hidden 500 --latents 20 --batch-size 128 --lr 1e-3
    elbo eval "$out/model.safetensors"
    ;;
iwae)
    # Burda et al. 2016, Table 1, one stochastic layer.
    train 3280 --binarize dynamic --hidden 200,200 --latents 50 --activation tanh --batch-size "${BATCH:-20}" \
        --epsilon 1e-4 --lr 1e-3 --lr-schedule staircase --objective iwae --samples "${K:-1}"
    elbo eval "$out" --importance-samples "${IMPORTANCE_SAMPLES:-5000}"
    ;;
gated | vamp)
    # Norouzi et al. 2020.
    prior=standard-normal
    if [ "$row" = vamp ]; then prior=vamp-prior; fi
    train 2000 --data "${DATA:-mnist}" --binarize dynamic --validation 10000 --hidden 300,300 --activation gated \
        --latents 40 --logvar-range -6,2 --batch-size 100 --lr 5e-4 --kl-warmup "${WARMUP:-100}" --patience 50 \
        --prior "$prior" --components 500
    elbo eval "$out" --importance-samples "${IMPORTANCE_SAMPLES:-5000}"
    ;;
*)
    echo "reproduce: which row? static, flax, iwae, gated or vamp" >&2
    exit 2
    ;;
esac
