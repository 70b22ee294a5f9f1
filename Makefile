# Tutti. "make help" lists what there is; each target installs what it needs.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules

# The tools, at fixed versions and apart from go.mod: who uses the library
# doesn't inherit what its developers check it with.
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK := go run golang.org/x/vuln/cmd/govulncheck@v1.1.4

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
T ?= 30s
ADDR ?= 127.0.0.1:3000
DATA ?= .data
ENGINE ?= redis
SEEDS ?= 100

.PHONY: help run build client test unit lint vuln conformance chaos chaos-cluster power edge guide soak screenshots fuzz bench scale attack microbench docs clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: build ## build, then serve the chat demo on http://localhost:3000 (ADDR=host:port), and keep it in .data (DATA=folder)
	bin/tutti serve --demo chat --listen $(ADDR) --data $(DATA)

build: client ## build bin/tutti
	go build -trimpath -ldflags '-X main.version=$(VERSION)' -o bin/tutti ./cmd/tutti

client: ## install the official Socket.IO client files, which bin/tutti carries
	@scripts/client.sh

test: lint unit conformance ## all that CI checks: lint, unit tests with the race detector, conformance

# The tests of engines start these themselves.
SERVERS := redis-server nats-server

unit: client ## the Go tests alone
	@scripts/debian.sh $(SERVERS)
	go test -race -shuffle=on -timeout 20m ./...
	go test -race -tags memnet ./bench/scale
	go test -run Allocates . ./engineio ./internal/websocket # the race detector empties pools at random

lint: client ## formatting, go vet, staticcheck
	@scripts/format.sh
	go vet ./...
	go vet -tags memnet ./internal/poll ./internal/websocket ./bench/scale
	$(STATICCHECK) ./...

vuln: ## known vulnerabilities; needs the Go vulnerability database online, so it is not a part of "make test"
	$(GOVULNCHECK) ./...

# The conformance tests build the program themselves, with the client files.
PEERS := chromium prometheus prometheus-alertmanager logrotate systemd python3-socketio python3-aiohttp python3-requests python3-websocket openssl zsh fish nginx haproxy $(SERVERS)

conformance: client ## stock clients, raw frames and a browser against the program
	@scripts/debian.sh $(PEERS)
	conformance/run.sh

chaos: build ## nothing is lost: a server that is killed, a network that fails (SEED=7 DURATION=60)
	cd conformance && npm ci --no-audit --no-fund --loglevel=error && TUTTI_BIN=../bin/tutti node chaos/chaos.mjs

chaos-cluster: build ## the same for three nodes on Redis or NATS (ENGINE=redis SEED=7 DURATION=60)
	@scripts/debian.sh $(SERVERS)
	cd conformance && npm ci --no-audit --no-fund --loglevel=error && TUTTI_BIN=../bin/tutti node chaos/chaos.mjs --engine $(ENGINE)

power: ## the machine, or the process, ends at every operation of the store on the disk (SEEDS=100)
	go test -v -timeout 2h -run '^(TestPower|TestProcess|TestTwoCrashes)$$' ./hub/pebblehub -seeds $(SEEDS)

edge: build ## a node behind a NATS leaf in a network namespace, whose way out is cut: needs root
	@scripts/debian.sh iproute2 $(SERVERS)
	cd conformance && npm ci --no-audit --no-fund --loglevel=error && TUTTI_BIN=../bin/tutti node cluster/edge.mjs

guide: build ## install by docs/operations.md, on a systemd of its own over a copy of this machine: needs root
	@scripts/guide.sh bin/tutti

soak: T = 2h
soak: build ## a long run under load: memory, goroutines and descriptors stay flat; writes docs/soak.svg (T=2h)
	cd conformance && npm ci --no-audit --no-fund --loglevel=error && TUTTI_BIN=../bin/tutti node operators/soak.mjs $(T)

screenshots: client ## take the pictures in docs/screenshots anew
	@scripts/debian.sh $(PEERS)
	cd conformance && SCREENSHOTS=1 ./run.sh browser/*.mjs

fuzz: ## run every fuzzer for T (T=30s)
	@scripts/fuzz.sh $(T)

bench: ## Node, Tutti and the floor under load: docs/performance.md; QUICK=1 for a short one, DOC=1 to write it there
	@scripts/bench.sh

scale: ## what a member costs among a hundred and among a million: docs/performance.md; QUICK=1 for a short one
	@scripts/scale.sh

attack: build ## how a well-behaved client fares while others attack: docs/limits.md
	go run ./bench/attack -tutti bin/tutti

microbench: ## run the benchmarks of the packages
	go test -run '^$$' -bench . -benchmem ./...

docs: ## write docs/configuration.md anew from the settings, and docs/cli.md from the commands
	go test ./internal/config -run '^TestDocs$$' -update
	go test ./cmd/tutti -run '^TestDocs$$' -update

clean: ## remove what was built
	rm -rf bin .cache
