# What a developer types. `make help` lists it.

.DEFAULT_GOAL := help
.PHONY: help demo test bench lint fmt

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

demo: ## the server with four bots in a room, until Ctrl-C; TESSERA_LISTEN=ADDR:PORT moves it
	@scripts/install-deps.sh run build
	cargo build --release --locked
	@exec scripts/demo.sh

test: ## everything that CI runs
	@scripts/install-deps.sh run build test
	@scripts/test.sh

bench: ## the figures of the README, measured here; FIGURE=5 for one, ARGS=--write-readme for all into it
	@scripts/install-deps.sh run build test
	cargo bench --locked --bench figures --no-run
	scripts/in-netns.sh cargo bench --offline --bench figures -- $(addprefix --figure=,$(FIGURE)) $(ARGS)

lint: ## format and lints, as `make test` checks them
	cargo fmt --all --check
	cargo clippy --all-targets -- --deny warnings

fmt: ## format the code
	cargo fmt --all
