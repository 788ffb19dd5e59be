# What a newcomer, an engineer and CI run. Everything happens in .venv; nothing else is touched.

PYTHON ?= python3
FOR ?= 30s
ROUNDS ?= 3
CAMPAIGNS ?= 100,1000,10000
SEEDS ?= 20
SLOW_DISK_TIMES ?= 20
CHAOS ?=
APACHE_SEEDS ?= 5
PARTITION_FOR ?= 30
MEMORY_FOR ?= 600
STEPS ?= 10000
STEADY_SEC ?= 60
TRY_SEC ?= 5
LARGE ?= 100000
CASES ?= 3000
EVENTS ?= 1000000,10000000
GROWN ?= 1000,50000
GROWTH ?=
VENV = .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready
# In the order of their names: the long ones, of chaos, come first and leave nobody waiting.
TWO_AT_A_TIME = --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo up install test test-kafka lint check chaos partition slow-disk soak conformance bench bench-host bench-growth schemas lock clean

demo: $(READY)  ## stores, daemons and a mock exchange with users, for FOR=30s
	$(BIN)/adctl demo --for $(FOR)

up: $(READY)  ## stores and daemons, until Ctrl-C
	$(BIN)/adctl up

install: $(READY)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

test: $(READY)
	$(BIN)/python -m pytest $(TWO_AT_A_TIME)

test-kafka: $(READY)  ## the tests that reach the broker, on Apache Kafka
	$(BIN)/python -m pytest --kafka=apache $(TWO_AT_A_TIME)

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test  ## CI also has the demo, a short bench, a short soak, and Apache Kafka

chaos: $(READY)  ## kill and cut off everything under load, SEEDS times
	$(BIN)/python -m tests.chaos --seeds $(SEEDS) $(CHAOS)

partition: $(READY)  ## cut Redis off under load, for PARTITION_FOR seconds
	$(BIN)/python -m tests.chaos.partition --for $(PARTITION_FOR)

slow-disk: $(READY)  ## kill Redis under load while its disk hangs, SLOW_DISK_TIMES times
	$(BIN)/python -m tests.chaos.slow_disk --times $(SLOW_DISK_TIMES)

soak: chaos partition slow-disk  ## all three, chaos on Apache Kafka too; 10,000 worlds; STEPS of the money scripts; memory
	INDEX_WORLDS=10000 $(BIN)/python -m pytest --timeout 0 tests/unit/delivery/test_campaign_index_by_plain_rules.py
	SOAK_STEPS=$(STEPS) $(BIN)/python -m pytest tests/integration/test_money_machine.py
	$(BIN)/python -m tests.chaos --seeds $(APACHE_SEEDS) --kafka apache
	$(BIN)/python -m tests.chaos.memory --for $(MEMORY_FOR)

conformance: $(READY)  ## CASES requests to the api that follow from one another, as its document says
	CONFORMANCE_CASES=$(CASES) $(BIN)/python -m pytest tests/integration/test_api_conformance.py

bench: $(READY)  ## what a bid costs, measured ROUNDS times
	$(BIN)/python -m tests.bench --rounds $(ROUNDS) --campaigns $(CAMPAIGNS)

bench-host: $(READY)  ## beside every daemon for STEADY_SEC, and on a catalog of LARGE that changes
	$(BIN)/python -m tests.bench.whole --for $(STEADY_SEC) --try $(TRY_SEC)
	$(BIN)/python -m tests.bench.large --campaigns $(LARGE) --rounds $(ROUNDS) --for $(TRY_SEC)

bench-growth: $(READY)  ## what grows with a year's EVENTS, and with GROWN campaigns, and what must not
	$(BIN)/python -m tests.bench.growth --events $(EVENTS) --campaigns $(GROWN) $(GROWTH)

schemas: $(READY)  ## write docs/schemas for messages whose version was raised
	$(BIN)/python -m adctl.streams.schemas

lock:  ## write requirements.lock anew from pyproject.toml
	$(PYTHON) -m venv .lock-venv
	.lock-venv/bin/python -m pip install --quiet uv
	.lock-venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
		--no-header --no-emit-index-url --no-emit-find-links \
		--extra embedded --extra test pyproject.toml --output-file requirements.lock
	rm -r .lock-venv

clean:
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
