#!/bin/sh
# Installs elbo for Linux and macOS: downloads the archive of the newest release, checks it, and puts the program into ~/.local/bin.
#
#   ELBO_INSTALL=DIR   another folder than ~/.local/bin
#   ELBO_RELEASE=URL   another place of the archives than the newest release, such as file:///some/folder
set -eu

fail() {
    printf 'install: %s\n' "$@" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

release=${ELBO_RELEASE:-https://github.com/@REPOSITORY@/releases/latest/download}
folder=${ELBO_INSTALL:-${HOME:?}/.local/bin}

case $(uname -s)/$(uname -m) in
Linux/x86_64 | Linux/amd64) target=x86_64-unknown-linux-gnu ;;
Linux/aarch64 | Linux/arm64) target=aarch64-unknown-linux-gnu ;;
Darwin/x86_64) target=x86_64-apple-darwin ;;
Darwin/arm64) target=aarch64-apple-darwin ;;
*) fail "there is no archive for $(uname -s) on $(uname -m); with Rust, \`cargo install elbo\` builds it" ;;
esac
if have ldd && ldd --version 2>&1 | grep -qi musl; then
    fail "this system has musl, whose programs cannot load graphics drivers; with Rust, \`cargo install elbo\` builds it"
fi
have curl || fail "curl is needed to download the archive"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
archive=elbo-$target.tar.gz
for file in "$archive" SHA256SUMS; do
    curl --fail --silent --show-error --location --output "$work/$file" "$release/$file" ||
        fail "$release/$file could not be downloaded"
done
cd "$work"
sums=$(grep " \*\{0,1\}$archive\$" SHA256SUMS) || fail "SHA256SUMS does not name $archive"
if have sha256sum; then
    printf '%s\n' "$sums" | sha256sum --check --status || fail "$archive is not the file that SHA256SUMS describes: try again"
else
    printf '%s\n' "$sums" | shasum -a 256 --check --status || fail "$archive is not the file that SHA256SUMS describes: try again"
fi
tar -xzf "$archive"
mkdir -p "$folder" || fail "$folder cannot be made: name another one with ELBO_INSTALL"
# A program that is running keeps its file: the new one gets the name.
if ! { cp "elbo-$target/elbo" "$folder/.elbo.new" && mv "$folder/.elbo.new" "$folder/elbo"; }; then
    fail "$folder cannot be written: name another one with ELBO_INSTALL"
fi
printf 'install: %s, version %s\n' "$folder/elbo" "$("$folder/elbo" --version | cut -d' ' -f2)"
case :$PATH: in
*:"$folder":*) ;;
*) printf 'install: %s is not in PATH: add it there\n' "$folder" ;;
esac
