#!/usr/bin/env bash
# Installs the clients that nobody here wrote, which the tests of tests/strangers call with: from PyPI into a virtual
# environment, from npm beside their scripts, from crates.io by a build. Versions are pinned; does little where nothing has
# changed. Needs the internet, and what scripts/install-deps.sh installs for build and test.
set -euo pipefail

cd "$(dirname "$0")/.."
clients=tests/strangers/clients
venv=target/strangers/venv

if ! cmp --silent "$clients/requirements.txt" "$venv/installed"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$clients/requirements.txt"
    cp "$clients/requirements.txt" "$venv/installed"
fi
npm ci --no-audit --no-fund --prefix "$clients"
cargo build --quiet --locked --manifest-path "$clients/rust/Cargo.toml" --target-dir target/strangers/cargo
