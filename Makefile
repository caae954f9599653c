# make run    the whole product on this machine: REPO=path, DATA=dir, PORT=number, WORKERS=number
# make audit  known vulnerabilities in what Treeline is built from, and licences: GOVULNDB=file:///DIRECTORY for a copy of the database
# make test   all tests; needs nothing but what it installs or names
# make lint   vet, formatting and golangci-lint
# make build  bin/treeline with the pages built in
# make ui     the pages' scripts and styles (ui/dist)
# make bench  benchmarks; prints tables, asserts nothing
# make test-ui  all browser tests, the long ones too
# make gallery  the pictures of docs/images, of a real server
# make bench-ui  how fast pages are in Chromium with 1,000 to 30,000 tasks and a log of 100 MB
# make bench-taskgraph  the generator alone: RUNS=number LARGE=1
# make bench-hg  what it costs to look at 1,000 Mercurial repositories in which nothing happens
# make bench-github  webhooks stored and answered, and how long one takes to its decision task
# make bench-worker  tasks that do nothing on one worker: TASKS=number
# make simulate-pools  worker pools live through a week of load; prints a table
# make upgrade-test  the database up and down under load with the previous program still serving; two servers replaced one by one, and back
# make migrate-bench  a table of ROWS=10000000 rows is migrated online, killed and resumed, up and down
# make vacuum-bench  what VACUUM_TASKS=100000 tasks leave in the tables: dead rows, HOT updates, empty space, autovacuum
# make release  programs for six platforms, archives, bill of materials, checksums: PLATFORMS=linux/amd64,… VERSION comes from git
# make release-check  the release twice, in two directories: the same bytes; COLD=1 compiles everything anew
# make image  the container image from scratch, by podman, of what make release made
# make test-deploy  the chart, the compose file as containers, the units, the image, nginx and Caddy with the real programs
# make test-docs-long  the commands of the documentation that take minutes or hours: benchmarks, make run and all tests in a fresh clone
# make test-otel  a push as one trace in an OpenTelemetry Collector, over HTTP and over gRPC
# make soak   random operations and faults against the queue: MINUTES=10 SEED=number LOCKSTEP=1

GO       ?= go
DATA     ?= treeline-data
PORT     ?= 8080
WORKERS  ?= 2
GOLANGCI  = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
path      = $(subst $() ,\ ,$(1))
GOFILES   = $(shell git ls-files --cached --others --exclude-standard '*.go' go.mod go.sum 'internal/pg/versions/*' '*.json' '*.html' 'docs/*' 2>/dev/null)

# One way to build for the program and its tests, so that nothing is compiled twice; no C compiler is needed.
export CGO_ENABLED = 0

.PHONY: run test test-ui gallery lint build audit ui bench bench-ui bench-taskgraph bench-worker simulate-pools bench-hg bench-github bench-admin soak upgrade-test migrate-bench vacuum-bench release release-check image test-deploy test-docs-long test-otel clean

run: need-run bin/treeline
	@exec bin/treeline dev --data $(call path,$(DATA)) --port $(PORT) --workers $(WORKERS) $(if $(REPO),--repo $(call path,$(REPO)))

# Many tests wait, for a browser or a worker: four packages at a time keep two processors busy, the longest first. Tests
# go before compilers, which collect less garbage. What debuggers read is left out: linking takes a third less time.
# What fails runs once more alone, and is named (tools/test).
TOOLS = -toolexec "env GOGC=300 nice"

test: need-test ui
	$(GO) vet $(TOOLS) ./...
	@GO="$(GO)" tools/test $(TOOLS) -vet=off -ldflags=-s -shuffle=on -timeout 30m -p 4 -- ./e2e ./app ./...

test-ui: need-test ui
	$(GO) test -vet=off -tags uilong -timeout 40m ./ui/...

gallery: need-test ui
	GALLERY=$(CURDIR)/docs/images $(GO) test -vet=off -tags gallery -run '^TestGallery$$' -count 1 ./e2e

lint: ui
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$unformatted" ] || { echo "gofmt: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(GOLANGCI) run ./...

# The licences alone are looked at by make test as well. Status 2 of audit.sh says that nothing could be looked up.
audit: ui
	$(GO) test -count 1 ./tools/licences
	@tools/audit/audit.sh

build: bin/treeline

bin/treeline: ui/dist/.built $(GOFILES)
	$(GO) build -o $@ ./cmd/treeline

ui: ui/dist/.built

ui/dist/.built: $(shell git ls-files --cached --others --exclude-standard ui/src ui/build ui/package.json ui/package-lock.json 2>/dev/null)
	@tools/need go node
	cd ui/src && npm ci --no-audit --no-fund --loglevel=error
	$(GO) run ./ui/build
	@touch $@

# The packages whose speed users feel. Bring a quiet machine; it takes about three minutes.
BENCHED = ./auth/... ./internal/web ./event ./queue ./object/... ./templates/... ./taskgraph/...

bench: need-run bin/treeline
	$(GO) test -run '^$$' -bench . -benchmem -benchtime 300ms -p 1 $(BENCHED)
	@echo; bin/treeline bench commit
	@echo; bin/treeline bench queue

# Worker pools with different settings live through a week of load.
simulate-pools: need-run
	$(GO) test -count 1 -run AWeek -v ./pools/simulate

# One worker, its server and their database on this machine: tasks that do nothing.
TASKS ?= 1000
bench-worker: need-test
	TASKS=$(TASKS) $(GO) test -run '^$$' -bench 'NoOpTasks|LiveLog' -benchtime 1x ./workers

# The generator: whole processes on synthetic repositories, up to 100,000 tasks with LARGE=1; then its
# parts, with allocations.
RUNS  ?= 5
LARGE ?= 1
bench-ui: need-test ui
	$(GO) test -run '^$$' -bench . -benchtime 1x -p 1 -timeout 40m ./ui/...

bench-taskgraph: need-run bin/treeline
	bin/treeline bench taskgraph --runs $(RUNS) $(if $(filter 1,$(LARGE)),--large)
	@echo; TREELINE_BENCH_LARGE=$(filter 1,$(LARGE)) $(GO) test -run '^$$' -bench 'Generate|Run$$' -benchmem -benchtime 3x -p 1 ./taskgraph ./taskgraph/optimize

# 200 projects and 2,000 grants, applied by treeline admin.
bench-admin: need-test
	TREELINE_ADMIN_SCALE=1 $(GO) test -count 1 -run ManyProjects -v ./cmd/treeline/admincmd

# Webhooks at 1,000 a second over HTTP, as fast as they go, and one after the other up to the task.
bench-github: need-run
	$(GO) test -run '^$$' -bench AThousandWebhooks -benchtime 1x ./app/githubapi
	$(GO) test -run '^$$' -bench WebhooksStored -benchtime 5s ./app/githubapi
	$(GO) test -run '^$$' -bench WebhookToDecision -benchtime 100x ./app

# Processor time of one server, with the Mercurial server and PostgreSQL as processes of their own.
bench-hg: need-run
	$(GO) test -run '^$$' -bench AThousandRepositories -benchtime 1x ./app/hg

# Rounds of random operations, each with the next seed, until the minutes are over; SEED alone, with
# MINUTES=0, plays the round of that seed again. The report as JSON is soak.json. Then throughput with and
# without an old transaction, for HELD each.
SEED       ?= 0
MINUTES    ?= 10
OPERATIONS ?= 12000
HELD       ?= 25s
soak: need-run
	$(GO) test ./queue/soaktest -run '^(TestSoak|TestThroughputBesideAnOldTransaction)$$' -held $(HELD) -v -count 1 -timeout 0 -seed $(SEED) -minutes $(MINUTES) -operations $(OPERATIONS) \
		$(if $(LOCKSTEP),-lockstep) -report $(CURDIR)/soak.json

# The database is upgraded and downgraded under load while the program of an earlier schema serves, and two
# servers behind a proxy are replaced one after the other by the program of the newest schema, and back. Programs of
# before are built from the git history: in a shallow clone this fails, and says so.
upgrade-test: need-test ui
	$(GO) test ./e2e -tags upgrade -run '^(TestUpgradeAndDowngradeUnderLoad|TestRollingUpgradeAndBack)$$' -v -count 1 -timeout 40m -upgrade

# A table goes through a version online, up and down, killed twice each way, with writers beside it.
ROWS ?= 10000000
BUSY ?= 50
migrate-bench: need-test
	$(GO) test ./internal/pg -run '^TestOnline$$' -v -count 1 -timeout 90m -rows $(ROWS) -busy $(BUSY)

# Tasks live their whole lives; what they leave in the tables, and what autovacuum makes of it.
VACUUM_TASKS ?= 100000
vacuum-bench: need-test
	$(GO) test -tags vacuum ./queue -run '^$$' -bench '^BenchmarkVacuum$$' -benchtime $(VACUUM_TASKS)x -v -timeout 90m

# What is released; the six builds take minutes. Releases: docs/operations/release.md
RELEASE = $(GO) run ./tools/release
chosen  = $(if $(PLATFORMS),--platforms $(PLATFORMS))
release: need-run ui
	$(RELEASE) build $(chosen)

release-check: need-run ui
	$(RELEASE) check $(chosen) $(if $(COLD),--cold)

image: need-run ui
	@tools/need podman
	$(RELEASE) image $(if $(IMAGE),--name $(IMAGE)) $(chosen)

# Not part of make test: Helm, Kubernetes' types and Docker Compose are compiled, and the whole program for an image.
test-deploy: need-test ui
	@tools/need proxies systemd networks
	cd deploy/verify && $(GO) test -count 1 ./... && $(GO) build -ldflags=-s -o $(CURDIR)/bin/ helm.sh/helm/v3/cmd/helm ./kubectl
	cd deploy/verify/compose && $(GO) build -ldflags=-s -o $(CURDIR)/bin/docker-compose github.com/docker/compose/v2/cmd
	COMPOSE=$(CURDIR)/bin/docker-compose $(GO) test -count 1 -tags deploy -timeout 60m -v ./deploy/deploytest

# What pages say of benchmarks and of testing, as it stands there. Bring a quiet machine, and two hours.
test-docs-long: need-test bin/treeline
	$(GO) test -count 1 -tags docslong -timeout 240m -v ./docs/longtest

# Not part of make test: compiling a collector takes minutes.
test-otel: need-test
	cd internal/otlptest/collector && $(GO) build -ldflags=-s -o $(CURDIR)/bin/otelcol .
	OTELCOL=$(CURDIR)/bin/otelcol $(GO) test -vet=off -count 1 -tags otelcol -run RealCollector -v ./app

clean:
	rm -rf bin dist ui/dist/* ui/src/node_modules

.PHONY: need-run need-test
need-run:
	@tools/need go git postgresql node
need-test:
	@tools/need go git postgresql node hg tmux chromium rabbitmq pgbouncer podman archivers rsync
