# Gatehouse: the targets that people and CI use. `make test` is all that a fresh machine needs.

GO          ?= go
STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2
VERSION     ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME    ?= 20s
FUZZ        ?= ^Fuzz
FAULTS      ?= 5m
SOAK        ?= 30m
FUZZPKGS    ?= ./...
PEERS       ?= -o ../RESULTS.md
CLIENTS     := internal/blackbox/testdata/clients

.PHONY: build test allocs big faults bench lint fuzz run redis clients strangers deploy-check e2e soak bench-peers

build: ## one static binary, ./gatehouse
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o gatehouse ./cmd/gatehouse

run: ## the demo: token endpoint, gateway and a built-in API
	$(GO) run ./cmd/gatehouse dev

test: redis ## every test, with the race detector where the machine has a C compiler
	@if command -v $${CC:-cc} >/dev/null 2>&1; then \
	  CGO_ENABLED=1 $(GO) test -race -shuffle=on -count=1 -timeout 9m ./...; \
	else \
	  echo "no C compiler: testing without the race detector"; \
	  $(GO) test -shuffle=on -count=1 -timeout 9m ./...; \
	fi

big: ## the tests that take a gigabyte, a thousand connections, a million keys or hundreds of reloads, at full size
	GATEHOUSE_BIG=1 $(GO) test -count=1 -timeout 30m -run 'Big|UnderLoad|SlowReaders' ./proxy ./internal/app ./internal/faults ./cmd/gatehouse

faults: redis ## faults of Redis drawn at random under load for five minutes, or as long as FAULTS says; prints its seed
	GATEHOUSE_FAULTS=$(FAULTS) $(GO) test -race -count=1 -timeout 60m -v -run '^TestRandomFaults$$' ./internal/faults

soak: redis ## mixed load at 70 % of capacity for half an hour, or as long as SOAK says (1m or more): nothing that the gateway uses may grow
	CGO_ENABLED=0 GATEHOUSE_SOAK=$(SOAK) $(GO) test -count=1 -timeout 0 -v -run '^TestSoak$$' ./internal/blackbox

redis: ## installs redis-server by the system's package manager where there is none
	@command -v redis-server >/dev/null 2>&1 || sh .ci/redis

allocs: redis ## every alloc_test.go: each stage of the request path allocates exactly as often as is written there
	CGO_ENABLED=0 $(GO) test -count=1 -run 'Alloc|^TestExactly$$' $$(find . -name alloc_test.go -exec dirname {} +)

bench: redis ## benchmarks of every stage of the request path
	$(GO) test -run '^$$' -bench . -benchmem ./...

bench-peers: ## Gatehouse beside HAProxy, nginx, Caddy and Go's own proxy; installs them. PEERS has other flags, such as '-only G1'
	sh .ci/peers
	cd deploy/bench/peers && $(GO) vet ./... && $(GO) test -count=1 ./... && $(GO) run . $(PEERS)

lint: ## formatting, vet, staticcheck and a tidy go.mod
	@bad=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$bad" || { echo "gofmt would change:"; echo "$$bad"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) mod tidy -diff

clients: strangers ## OAuth clients of other people get a token and call an API
	GATEHOUSE_CLIENTS=required $(GO) test -run '^TestClients$$' -count=1 -v ./internal/blackbox

strangers: ## installs those clients, as far as the system's package manager has to
	sh .ci/clients
	cd $(CLIENTS) && npm ci --ignore-scripts --no-audit --no-fund

deploy-check: redis ## deploy/ against the program: image, unit, rules, dashboard, compose; installs promtool and systemd-analyze
	sh .ci/deploy
	GATEHOUSE_DEPLOY=required $(GO) test -count=1 ./internal/deploytest

e2e: redis ## the status page in a real browser; installs Chromium. SCREENSHOTS=DIR keeps pictures, GATEHOUSE_E2E_SOAK=10m soaks longer
	sh .ci/e2e
	cd deploy/e2e && $(GO) vet ./... && $(GO) test -count=1 -timeout 9m ./...

fuzz: ## every fuzz target that FUZZ matches, FUZZTIME each
	@for pkg in $$($(GO) list $(FUZZPKGS)); do \
	  for target in $$($(GO) test -list '$(FUZZ)' $$pkg | grep '^Fuzz'); do \
	    echo "fuzz $$pkg $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s $$pkg || exit 1; \
	  done; \
	done
