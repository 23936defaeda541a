#!/usr/bin/env bash
# Runs everything that CI runs; the last line is `N passed, N failed` over all of it, and the exit code says the same.
#
# Counted are the tests of `cargo test` and of Node's test runner, and as one check each: the format, the lints, and
# whether the fuzz targets build. Crates and npm packages are fetched first; the tests run without the internet, in a
# network namespace. TESSERA_TEST_ARGS is handed to `cargo test`.
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

passed=0
failed=0
failures=()

count() { # COMMAND'S NAME, PASSED, FAILED, EXIT CODE
    # A runner that fails without a failed test (a crash, a build error) is a failure too.
    local failed_here=$3
    [ "$4" -eq 0 ] || [ "$failed_here" -gt 0 ] || failed_here=1
    passed=$((passed + $2))
    failed=$((failed + failed_here))
    [ "$failed_here" -eq 0 ] || failures+=("$1")
}

check() { # NAME, COMMAND…
    local name=$1 code=0
    shift
    printf '\n== %s\n' "$name"
    "$@" || code=$?
    count "$name" $((code == 0 ? 1 : 0)) $((code == 0 ? 0 : 1)) "$code"
    return "$code"
}

finish() {
    printf '\n'
    [ ${#failures[@]} -eq 0 ] || printf 'failed: %s\n' "${failures[@]}"
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ]
    exit
}

rust_tests() {
    local code=0 sums
    printf '\n== Rust tests\n'
    # shellcheck disable=SC2086  # TESSERA_TEST_ARGS is a list of arguments
    scripts/in-netns.sh cargo test --offline --no-fail-fast ${TESSERA_TEST_ARGS:-} 2>&1 | tee "$logs/cargo"
    code=${PIPESTATUS[0]}
    sums=$(awk '/^test result: / { passed += $4; failed += $6 } END { print passed + 0, failed + 0 }' "$logs/cargo")
    count "Rust tests" ${sums% *} ${sums#* } "$code"
}

browser_tests() {
    local code=0 sums files
    printf '\n== Browser tests\n'
    mapfile -t files < <(find tests/browser -name node_modules -prune -o \( -name '*.test.js' -o -name '*.test.mjs' \) -print 2>/dev/null | sort)
    if [ ${#files[@]} -eq 0 ]; then
        echo "there is no tests/browser/*.test.js" >&2
        count "browser tests" 0 1 1
        return
    fi
    # One file at a time: each drives whole browsers, and two of them would measure each other.
    TESSERA_BIN=$PWD/target/debug/tessera scripts/in-netns.sh node --test --test-concurrency=1 \
        --test-reporter=spec --test-reporter-destination=stdout \
        --test-reporter=tap --test-reporter-destination="$logs/node" "${files[@]}"
    code=$?
    sums=$(awk '/^# pass / { passed += $3 } /^# (fail|cancelled) / { failed += $3 } END { print passed + 0, failed + 0 }' "$logs/node")
    count "browser tests" ${sums% *} ${sums#* } "$code"
}

check "format" cargo fmt --all --check
check "lints" cargo clippy --quiet --all-targets -- --deny warnings
check "fuzz targets" cargo build --quiet --manifest-path fuzz/Cargo.toml

# What needs the network, before the namespace closes.
printf '\n== build\n'
cargo test --no-run || { count "build of the tests" 0 1 1; finish; }
npm_ready=0
npm ci --prefix tests/browser || { npm_ready=1; count "npm ci" 0 1 1; }

rust_tests
[ "$npm_ready" -ne 0 ] || browser_tests
finish
