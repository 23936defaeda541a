#!/usr/bin/env bash
# Runs everything that CI runs; the last line is `N passed, N failed` over all of it, and the exit code says the same.
#
# Counted are the tests of `cargo test` and of Node's test runner, and as one check each: the format, the lints, whether
# the fuzz targets build, and whether the strangers of tests/strangers install. Crates and packages are fetched first; the
# tests run without the internet, in a network namespace. TESSERA_TEST_ARGS is handed to `cargo test`.
set -uo pipefail

cd "$(dirname "$0")/.." || exit 1
logs=$(mktemp -d)
runner=
trap 'rm -rf "$logs"' EXIT
trap '[ -z "$runner" ] || kill -TERM -- "-$runner" 2>/dev/null; exit 130' INT TERM HUP

deadline=30m # for each test runner

passed=0
failed=0
skipped=0
failures=()

count() { # NAME, PASSED, FAILED, SKIPPED, EXIT CODE
    # A runner that fails without a failed test (a crash, a build error, the deadline) is a failure too.
    local failed_here=$3
    [ "$5" -eq 0 ] || [ "$failed_here" -gt 0 ] || failed_here=1
    passed=$((passed + $2))
    failed=$((failed + failed_here))
    skipped=$((skipped + $4))
    [ "$failed_here" -eq 0 ] || failures+=("$1")
}

# Runs tests in a network namespace, in a process group of their own: a hanging test, and Ctrl-C, end all that they began.
run_tests() { # LOG, COMMAND…
    local log=$1
    shift
    set -m
    timeout --kill-after=10s "$deadline" scripts/in-netns.sh "$@" >"$log" 2>&1 &
    runner=$!
    set +m
    # In the background: bash holds a signal back until its foreground command ends, but not while it waits.
    tail --pid="$runner" --follow --lines=+1 --sleep-interval=0.2 "$log" &
    local follower=$! code=0
    wait "$runner" || code=$?
    runner=
    wait "$follower"
    return "$code"
}

check() { # NAME, COMMAND…
    local name=$1 code=0
    shift
    printf '\n== %s\n' "$name"
    "$@" || code=$?
    count "$name" $((code == 0)) $((code != 0)) 0 "$code"
    return "$code"
}

finish() {
    printf '\n'
    [ ${#failures[@]} -eq 0 ] || printf 'failed: %s\n' "${failures[@]}"
    [ "$skipped" -eq 0 ] || printf 'skipped: %d\n' "$skipped"
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ]
    exit
}

rust_tests() {
    local code=0 sums
    printf '\n== Rust tests\n'
    # shellcheck disable=SC2086  # TESSERA_TEST_ARGS is a list of arguments
    run_tests "$logs/rust" cargo test --offline --no-fail-fast ${TESSERA_TEST_ARGS:-} || code=$?
    read -ra sums < <(awk '/^test result: / { passed += $4; failed += $6; skipped += $8 }
        END { print passed + 0, failed + 0, skipped + 0 }' "$logs/rust")
    count "Rust tests" "${sums[@]}" "$code"
}

browser_tests() {
    local code=0 sums files
    printf '\n== browser tests\n'
    mapfile -t files < <(find tests/browser -name node_modules -prune -o -name '*.test.*js' -print | sort)
    if [ ${#files[@]} -eq 0 ]; then
        echo "there is no tests/browser/*.test.mjs" >&2
        count "browser tests" 0 1 0 1
        return
    fi
    # Two files at a time: most of a test is waiting for browsers; more would only wait for the processor.
    TESSERA_BIN=$PWD/target/debug/tessera run_tests "$logs/browser" node --test --test-concurrency=2 \
        --test-reporter=spec --test-reporter-destination=stdout \
        --test-reporter=tap --test-reporter-destination="$logs/tap" "${files[@]}" || code=$?
    read -ra sums < <(awk '/^# pass / { passed += $3 } /^# (fail|cancelled) / { failed += $3 }
        /^# (skipped|todo) / { skipped += $3 } END { print passed + 0, failed + 0, skipped + 0 }' "$logs/tap")
    count "browser tests" "${sums[@]}" "$code"
}

check "format" cargo fmt --all --check
check "lints" cargo clippy --quiet --locked --all-targets -- --deny warnings
# Where its profile is the same, the fuzz package finds the dependencies compiled.
check "fuzz targets" cargo build --quiet --manifest-path fuzz/Cargo.toml --target-dir target

# What needs the network, before the namespace closes.
printf '\n== build\n'
cargo test --locked --no-run || { count "build of the tests" 0 1 0 1; finish; }
check "strangers" scripts/strangers.sh
npm_code=0
npm ci --prefix tests/browser || npm_code=$?

rust_tests
if [ "$npm_code" -eq 0 ]; then browser_tests; else count "browser tests (npm ci)" 0 1 0 "$npm_code"; fi
finish
