#!/usr/bin/env bash
# Everything that must hold: lint, format, types, tests. Arguments go to pytest.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

prepare_environment cpu,dev,tblite
cd "$root"
timed "ruff check" "$venv/bin/ruff" check
timed "ruff format" "$venv/bin/ruff" format --check
timed "mypy" "$venv/bin/mypy"
timed "pytest" "$venv/bin/pytest" -n auto --maxprocesses 8 --dist worksteal "$@"
