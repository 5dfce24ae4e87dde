# make setup | demo | test | test-fast | lint | bench | lock; every target prepares .venv first, at no cost when it is current.
PYTHON := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Where Python keeps no compiled modules, hundreds of processes of the tests compile them anew.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: setup demo test test-fast start-kill lint bench bench-convert bench-data bench-train bench-learning bench-memory bench-optimizers bench-sequence bench-score bench-start bench-runs bench-steering bench-loader-thread lock

setup: .venv/.ready

.venv/.ready: requirements.lock pyproject.toml tools/setup.sh
	@bash tools/setup.sh

# Yeast genome -> MDS shards -> a small model -> held-out loss, variant scores, report.
demo: setup
	@if [ -e data/yeast/manifest.json ]; then echo "demo: reusing the dataset data/yeast (remove it to convert again)"; \
	else python convert/to_mds.py yamls/convert/yeast.yaml; fi
	@if [ -e runs/quickstart/report.html ]; then echo "demo: reusing the run runs/quickstart (remove it to train again)"; \
	else composer train.py yamls/quickstart.yaml; fi
	@glm report runs/quickstart

test: test-fast
	@python -m pytest -m slow --numprocesses 2 --dist loadfile

# Without the long proofs: ranks, kills, stock readers, every README command.
test-fast: setup
	@python -m pytest -m "not slow" --numprocesses 2 --dist loadfile

# Two hundred readers started and killed: nothing may stay behind. Needs data/yeast.
start-kill: setup
	@directory=$$(mktemp -d) && TMPDIR=$$directory python tests/data/start_and_kill.py data/yeast/train 200 && \
	  rmdir $$directory

lint: setup
	@ruff check . && ruff format --check . && mypy && mypy benchmarks/*.py

# Figures for benchmarks/LOG.md; run them alone on the machine.
bench: bench-sequence bench-convert bench-data bench-train bench-score bench-start

bench-sequence: setup
	@python benchmarks/sequence_rate.py

# Human chromosome 20, from Debian; 2 GB of disk.
bench-convert: setup
	@python benchmarks/convert_rate.py

bench-data: setup
	@python benchmarks/data_rate.py

bench-train: setup
	@python benchmarks/step_time.py
	@python benchmarks/train_vs_gpn.py

# Two models, three seeds each, of four minutes: half an hour. Not a part of `bench`.
bench-learning: setup
	@python benchmarks/learning.py

# Not part of bench: a quarter of an hour.
bench-optimizers: setup
	@python benchmarks/optimizer_loss.py data.window=128

# Variant scores beside gpn's; needs data/yeast.
bench-score: setup
	@python benchmarks/score_rate.py

# Peak memory of training against the computed, and its growth over a thousand steps.
bench-memory: setup
	@python benchmarks/memory.py

# From the command to the first step.
bench-start: setup
	@python benchmarks/first_step.py

# Listing ten thousand runs.
bench-runs: setup
	@python benchmarks/runs_index.py

# What looking for requests adds to a step of two ranks.
bench-steering: setup
	@python benchmarks/steering.py

# What the thread that prepares batches costs the steps beside it.
bench-loader-thread: setup
	@python benchmarks/loader_thread.py

# Pins every dependency, hashed and without addresses; needs a network.
lock: setup
	@uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet --output-file requirements.lock
