#!/usr/bin/env bash
# From a fresh clone to a report: installs into .venv, then runs `fisher-mlip quickstart "$@"`.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"

prepare_environment cpu
timed "quickstart" "$venv/bin/fisher-mlip" quickstart "$@"
