#!/usr/bin/env bash
# Puts a program that was built for a target into an archive, with its licences, manual pages and completions.
#
#   scripts/archive.sh TARGET FOLDER
#
# The program is target/TARGET/release/elbo. Manual pages and completions are made where this machine can run it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=$1
out=$2
case $target in
*windows*) program=elbo.exe ;;
*) program=elbo ;;
esac
built=target/$target/release/$program
[ -f "$built" ] || { echo "archive: expected the program in $built: build it with --target $target" >&2; exit 1; }
name=elbo-$target
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/$name" "$out"
cp "$built" README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE "$work/$name/"
if "$built" --version >/dev/null 2>&1; then
    mkdir -p "$work/$name/man" "$work/$name/completions"
    "$built" man "$work/$name/man" >/dev/null
    for shell in bash zsh fish powershell; do
        "$built" completions "$shell" >"$work/$name/completions/elbo.$shell"
    done
fi
case $target in
*windows*) (cd "$work" && 7z a -bso0 "$name.zip" "$name") && mv "$work/$name.zip" "$out/" ;;
*) tar -C "$work" -czf "$out/$name.tar.gz" "$name" ;;
esac
ls -l "$out"
