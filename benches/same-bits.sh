#!/bin/sh
# Compares two builds of Elbo: do both train every kind of model to the same bits? `benches/same-bits.sh OLD NEW [FLAGS]`.
#
# OLD and NEW are built `elbo` binaries. FLAGS go to every training, as `--kernels tiles` or `--no-tune --backend gl`; the default
# is `--no-tune`. Each model is trained for two epochs on an excerpt, and its `model.safetensors` is compared byte by byte. The
# excerpt is 1,000 + 100 images of 28 x 28 bytes, taken from a compressed file: they are noise, but the same noise everywhere.
# Exits with 1 if a model differs.
set -eu
cd "$(dirname "$0")/.."

if [ $# -lt 2 ]; then
    echo "usage: benches/same-bits.sh OLD NEW [FLAGS]" >&2
    exit 2
fi
old=$1
new=$2
shift 2
if [ $# -eq 0 ]; then set -- --no-tune; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
data=$work/data
mkdir "$data"

# An IDX file of images, or of labels that are all 0: `NAME COUNT-IN-TWO-BYTES COUNT`.
images() {
    printf "\\0\\0\\010\\003\\0\\0$2\\0\\0\\0\\034\\0\\0\\0\\034" > "$data/$1"
    head -c $(($3 * 784)) assets/mnist/train-images-idx3-ubyte.br >> "$data/$1"
}
labels() {
    printf "\\0\\0\\010\\001\\0\\0$2" > "$data/$1"
    head -c "$3" /dev/zero >> "$data/$1"
}
images train-images-idx3-ubyte '\003\350' 1000
labels train-labels-idx1-ubyte '\003\350' 1000
images t10k-images-idx3-ubyte '\0\144' 100
labels t10k-labels-idx1-ubyte '\0\144' 100

train() {
    elbo=$1
    out=$2
    shift 2
    "$elbo" train --data "$data" --epochs 2 --out "$out" "$@" > "$out.txt" 2>&1 || { cat "$out.txt" >&2; exit 2; }
}

different=0
compare() {
    name=$1
    shift
    train "$old" "$work/old" --overwrite "$@"
    train "$new" "$work/new" --overwrite "$@"
    if cmp -s "$work/old/model.safetensors" "$work/new/model.safetensors"; then
        echo "same       $name"
    else
        echo "DIFFERENT  $name"
        different=1
    fi
}

compare "default" "$@"
compare "hidden 512,256, gelu, layer" --hidden 512,256 --activation gelu --normalise layer "$@"
compare "batch" --normalise batch "$@"
compare "gated, vamp-prior" --activation gated --prior vamp-prior --components 50 "$@"
compare "mixture" --prior mixture "$@"
compare "dreg, 5 samples" --objective dreg --samples 5 "$@"
compare "iwae, 3 samples, vamp-prior" --objective iwae --samples 3 --prior vamp-prior --components 20 "$@"
compare "free-bits" --objective free-bits "$@"
compare "sampled KL, clamped log variances" --kl sampled --logvar-range -6,2 "$@"
compare "mixture, clamped log variances, 2 samples" --prior mixture --components 30 --logvar-range -6,2 --samples 2 "$@"
compare "linear, dynamic" --hidden none --binarize dynamic "$@"
compare "capacity, in parts" --objective capacity --micro-batch-size 48 "$@"
compare "discretised-logistic" --likelihood discretised-logistic "$@"
compare "gaussian" --likelihood gaussian "$@"
compare "gaussian-fixed" --likelihood gaussian-fixed "$@"
compare "gaussian-per-dimension, dreg" --likelihood gaussian-per-dimension --objective dreg --samples 3 "$@"
compare "gaussian-predicted" --likelihood gaussian-predicted "$@"
compare "beta-binomial" --likelihood beta-binomial "$@"
compare "categorical" --likelihood categorical --binarize threshold "$@"
exit $different
