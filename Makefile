# make demo   everything from nothing to a reconstructed face under runs/demo/
# make test   the whole CPU test suite
PYTHON ?= python3
BIN := .venv/bin
DEMO := runs/demo
# big blocks of memory in huge pages: training steps take a fifth less time on a CPU
export GLIBC_TUNABLES := glibc.malloc.hugetlb=1

.PHONY: demo test lint clean

demo: .venv/installed
	$(BIN)/python train.py --preset small --workdir $(DEMO) --data.directory runs/data
	$(BIN)/python evaluate.py --workdir $(DEMO)
	$(BIN)/python -m datasets.export synthetic/small --split test --index 0 --out $(DEMO)/photos
	$(BIN)/python reconstruct.py --checkpoint $(DEMO) --photos $(DEMO)/photos --aligned True \
		--out $(DEMO)/reconstruction
	@echo "Pictures: $(DEMO)/evaluation/error_maps.png and $(DEMO)/reconstruction/overview.png"

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.venv/installed: pyproject.toml install_system_libraries.sh
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Python 3.11 or newer is needed; name one with: make PYTHON=python3.12')"
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --editable '.[test]'
	$(BIN)/python -c "import open3d" 2>/dev/null || sh install_system_libraries.sh
	touch $@

clean:
	rm -rf .venv *.egg-info
