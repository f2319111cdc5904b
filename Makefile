# make bench         kup-play beside its peers and plain ssh: docs/benchmarks.md
# make instructions  instructions that fixed work takes, counted by valgrind: docs/benchmarks.md
# make demo          a cluster of three hosts on this machine, upgraded by kup-play
# make test          all tests but the long ones, those on the lab included
# make chaos         upgrades that are killed many times, hosts that are lost, power that fails
# make lint          formatting, clippy, licences and sources of the dependencies

CARGO ?= cargo

.PHONY: build test chaos bench instructions demo lint

# Where cargo puts a release build.
RELEASE = $(or $(CARGO_TARGET_DIR),target)/$(shell rustc -vV | sed -n 's/host: //p')/release

build:
	$(CARGO) build --release --locked
	sh src/transport/attach-agent.sh $(RELEASE)/kup-play-agent $(RELEASE)/kup-play

# Shapes of work by name: make bench SHAPES="tasks20 hosts100"; bench/run -l lists them.
bench: build
	bench/run $(SHAPES)

instructions: build
	bench/instructions

test: deps
	tests/run

# How many kills, and the seed of their moments (another one each time unless given):
# make chaos KUP_CHAOS_KILLS=100 KUP_CHAOS_SEED=7
chaos: export KUP_CHAOS_KILLS ?= 40
chaos: deps
	tests/run --profile chaos --run-ignored all \
		-E 'binary(lab_chaos) | binary(lab_faults) | (binary(lab_rollback) & test(/some_control_planes|send_an_upgrade_back/))'

demo: deps build
	tests/demo

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --locked -- -D warnings
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny check bans licenses sources

# What the tests and the lab need of Debian.
.PHONY: deps
deps:
	tests/install
