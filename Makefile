# make demo    a cluster of three hosts on this machine, upgraded by kup-play
# make test    all tests, those on the lab included
# make lint    formatting, clippy, licences and advisories of the dependencies

CARGO ?= cargo

.PHONY: build test demo lint

build:
	$(CARGO) build --release --locked

test: deps
	tests/run

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
