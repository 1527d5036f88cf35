# `make demo` and `make test` work on a fresh machine that has Rust: set-up is part of both.

.PHONY: help setup demo test check published

help:
	@echo 'make demo       set up, train on MNIST, and name the pictures that this gives (in runs/demo)'
	@echo 'make test       set up, and run the whole test suite'
	@echo 'make setup      build, and install a software Vulkan driver if there is no adapter at all'
	@echo 'make check      formatting, lints, documentation and spelling'
	@echo 'make published  set up, and repeat the published run on MNIST, over three seeds'

setup:
	@scripts/setup.sh

demo: setup
	cargo run --release -- train --out runs/demo --overwrite

test: setup
	cargo test --release

check:
	cargo fmt --check
	cargo clippy --release --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --release --no-deps
	@if command -v typos >/dev/null; then typos; else echo 'spelling is not checked: typos is not installed (pip install typos)'; fi

published: setup
	cargo test --release --test tests -- --ignored --nocapture published
