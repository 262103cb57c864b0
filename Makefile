# make demo   everything from nothing to a reconstructed face under runs/demo/
# make test   the whole CPU test suite
# make newest the program on two devices and a quick selection, with the newest JAX: PYTHON is 3.12 or newer
PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/demo
TRAINING := --preset small
QUICK := $(addprefix tests/test_,$(addsuffix .py,devices camera geometry imports interpolate losses mesh_files shade))
# big blocks of memory in huge pages: training steps take a fifth less time on a CPU
export GLIBC_TUNABLES := glibc.malloc.hugetlb=1

.PHONY: demo test newest lint clean

demo: .venv/installed
	$(BIN)/python train.py $(TRAINING) --workdir $(DEMO) --data.directory runs/data
	$(BIN)/python evaluate.py --workdir $(DEMO)
	$(BIN)/python -m datasets.export synthetic/small --split test --index 0 --out $(DEMO)/photos
	$(BIN)/python reconstruct.py --workdir $(DEMO) --photos $(DEMO)/photos --aligned \
		--out $(DEMO)/reconstruction
	@echo "Pictures: $(DEMO)/evaluation/error_maps.png and $(DEMO)/reconstruction/overview.png"

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

newest: .venv-newest/installed
	.venv-newest/bin/python -m pytest -n 2 --dist loadfile $(QUICK)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/installed: EXTRA := test
.venv-newest/installed: EXTRA := testing
.venv/installed .venv-newest/installed: pyproject.toml install_system_libraries.sh
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed; name one with: make PYTHON=python3.12')"
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --upgrade pip
	$(@D)/bin/pip install --editable '.[$(EXTRA)]'
	$(@D)/bin/python -c "import open3d" 2>/dev/null || sh install_system_libraries.sh
	touch $@

clean:
	rm -rf .venv .venv-newest *.egg-info
