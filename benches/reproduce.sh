#!/bin/sh
# Trains and evaluates one row of benches/reproduce.md: `benches/reproduce.sh ROW`.
#
# Rows: static, flax, iwae (with K=1, 5 or 50), gated, vamp; with convolutions burgess, keras, cvae; of text synthetic, kjv, ptb-gru,
# ptb-lstm, each also with MORE=--without-latents, its baseline. From the environment: TEXT, a folder of train, valid and test; STATIC_MNIST,
# the .npz file of statically binarised MNIST (rows static and flax); MNIST70, one of all 70,000 images of MNIST as the training set
# (row keras); DATA, another data set, without a validation set, for gated and vamp; HIDDEN, the layers of row static; SEED; OUT, the
# run directory; ELBO, a built `elbo`, where there is no Cargo to build one.
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

# Checks that a variable names a file.
needs() {
    eval "file=\${$1:-}"
    if [ ! -r "$file" ]; then
        echo "reproduce: set $1 to the .npz file that benches/reproduce.md describes" >&2
        exit 2
    fi
}

case $row in
static)
    # Rezende & Mohamed 2015, as pythae reproduces it; 0.631 is 10^(-1/5).
    needs STATIC_MNIST
    train 500 --data "$STATIC_MNIST" --hidden "${HIDDEN:-400}" --latents 40 --batch-size 100 --lr 1e-4 \
        --lr-schedule steps --lr-factor 0.6309573444801932 --lr-milestones 200,350,500
    elbo eval "$out" --importance-samples 200
    ;;
flax)
    # flax's VAE example.
    needs STATIC_MNIST
    train 10 --data "$STATIC_MNIST" --hidden 500 --latents 20 --batch-size 128 --lr 1e-3
    elbo eval "$out/model.safetensors"
    ;;
iwae)
    # Burda et al. 2016, Table 1, one stochastic layer.
    train 3280 --binarize dynamic --hidden 200,200 --latents 50 --activation tanh --batch-size "${BATCH:-20}" \
        --epsilon 1e-4 --lr 1e-3 --lr-schedule staircase --objective iwae --samples "${K:-1}"
    elbo eval "$out" --importance-samples "${IMPORTANCE_SAMPLES:-5000}"
    ;;
burgess)
    # disentangling-vae's network of Burgess et al. 2018, plain VAE on MNIST at 32 x 32.
    train 10 --size 32 --hidden conv32k4s2,conv32k4s2,conv32k4s2,256,256 --latents 10 --batch-size 64 \
        --lr 5e-4 --kl-warmup-steps 10000 --init kaiming
    ;;
keras)
    # keras.io's "Variational AutoEncoder", whose losses are averages over an epoch of training.
    needs MNIST70
    train 30 --data "$MNIST70" --hidden conv32k3s2,conv64k3s2,16 --decoder-hidden conv32k3s1,conv64k3s2,conv64k3s2 \
        --latents 2 --batch-size 128 --lr 1e-3 --epsilon 1e-7 --init glorot
    ;;
cvae)
    # TensorFlow's tutorial "Convolutional Variational Autoencoder" of April 2019.
    train 100 --binarize threshold --hidden conv32k3s2p0,conv64k3s2p0 --decoder-hidden conv32k3s1,conv64k3s2,conv32k3s2 \
        --latents 50 --batch-size 100 --lr 1e-4 --epsilon 1e-7 --kl sampled --init glorot
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
synthetic)
    # He et al. 2019's synthetic sentences, which the program beside this script writes.
    TEXT=${TEXT:-runs/synthetic}
    [ -d "$TEXT" ] || cargo run --release --quiet --example synthetic_text "$TEXT"
    train 25 --data "$TEXT" --hidden lstm52 --embedding 52 --latents 2 --dropout 0.5 --batch-size 64 --lr 2e-3 ${MORE:-}
    elbo eval "$out" --importance-samples "${IMPORTANCE_SAMPLES:-50}"
    ;;
kjv)
    # The King James Bible, a verse a line.
    train 6 --data "${TEXT:?a folder of train, valid and test}" --hidden gru256 --latents 32 --min-count 3 --batch-size 64 --dropout 0.2 \
        ${MORE:---word-dropout 0.2 --kl-warmup 2 --objective free-bits-total --free-bits 8}
    elbo eval "$out" --importance-samples "${IMPORTANCE_SAMPLES:-100}"
    ;;
ptb-gru)
    # timbmg/Sentence-VAE, whose warm-up is logistic and here linear.
    train 4 --data "${TEXT:?a folder of train, valid and test}" --hidden gru256 --embedding 300 --latents 16 --dropout 0.5 --max-length 60 \
        --batch-size 32 --kl-warmup-steps 5000 ${MORE:-}
    elbo eval "$out"
    ;;
ptb-lstm)
    # texar's vae_text.
    train 100 --data "${TEXT:?a folder of train, valid and test}" --hidden lstm256 --embedding 256 --latents 32 --dropout 0.5 \
        --word-dropout 0.5 --batch-size 32 --clip-norm 5 --kl-warmup 10 --lr-schedule plateau --lr-factor 0.5 --patience 10 ${MORE:-}
    elbo eval "$out"
    ;;
*)
    echo "reproduce: which row? static, flax, iwae, gated, vamp, burgess, keras, cvae, synthetic, kjv, ptb-gru or ptb-lstm" >&2
    exit 2
    ;;
esac
