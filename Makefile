# Everything a person types. The work is in packaging/: `make setup` is packaging/environment.py.
PYTHON ?= python3
ENGINE ?= cuda
DIST ?= dist
BUNDLE := $(DIST)/parley-$(ENGINE)
FREEZER := build/env-$(ENGINE)
# The same commit gives the same files: its time is the only one that goes into them.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 315532800)
XVFB := xvfb-run --auto-servernum --server-args="-screen 0 1920x1200x24"

.PHONY: run test setup lint format bench bundle smoke packages clean-root release screenshots

run: setup
	@$(PYTHON) packaging/system_libraries.py window
	@if [ -z "$$DISPLAY$$WAYLAND_DISPLAY$$QT_QPA_PLATFORM" ]; then \
		echo "There is no display to open a window on: ask in the terminal with '.venv/bin/parley ask \"Hello\"', or run 'xvfb-run .venv/bin/parley' for a display without a screen." >&2; exit 2; fi
	@.venv/bin/parley

test: setup lint
	@$(PYTHON) packaging/system_libraries.py tests
	$(XVFB) .venv/bin/python -m pytest --ignore tests/end2end
	$(XVFB) .venv/bin/python -m pytest tests/end2end  # on a display, as a person has one

setup:
	@$(PYTHON) packaging/environment.py

lint: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	MYPYPATH=packaging:packaging/freeze:packaging/linux:packaging/windows .venv/bin/mypy app tests packaging

format: setup
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

# What this machine makes of the demo model, each figure beside its floor: docs/performance.md.
bench: setup
	@.venv/bin/parley bench

screenshots: setup
	@$(PYTHON) packaging/system_libraries.py tests
	$(XVFB) .venv/bin/python -m tests.ui.screenshots docs/images window_light window_dark window_narrow

# ENGINE=cpu freezes its own small requirements; ENGINE=cuda freezes the pinned set.
bundle:
	@$(PYTHON) packaging/system_libraries.py window
	@$(PYTHON) packaging/environment.py --bare --link $(FREEZER) --installer $(if $(filter cpu,$(ENGINE)),pip,uv) \
		--requirements $(if $(filter cpu,$(ENGINE)),packaging/requirements-bundle-cpu.txt,requirements.txt) \
		--requirements packaging/requirements-freeze.txt
	PYTHONHASHSEED=0 nice -n 19 $(FREEZER)/bin/python -m PyInstaller --noconfirm --log-level WARN \
		--distpath $(DIST) --workpath build/freeze-$(ENGINE) installer.spec

smoke:
	@$(PYTHON) packaging/system_libraries.py tests
	$(FREEZER)/bin/python packaging/smoke.py $(BUNDLE)

# What a person installs on Linux, of the bundle as it is: docs/packaging.md.
packages:
	$(FREEZER)/bin/python packaging/linux/packages.py $(BUNDLE) --to $(DIST)

# The .deb in a Debian that has nothing else, offline; as root.
clean-root:
	$(FREEZER)/bin/python packaging/linux/clean_root.py $(DIST)/parley_*_amd64.deb

release:
	$(MAKE) bundle smoke packages ENGINE=cpu
	$(PYTHON) packaging/release.py $(DIST)
