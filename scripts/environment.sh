# Sourced by the other scripts: makes .venv beside pyproject.toml and installs this package into it.
#
#   prepare_environment EXTRAS      e.g. prepare_environment cpu,dev
#
# PYTHON names the interpreter (3.11 to 3.13; python3 if unset). A second run installs nothing
# unless pyproject.toml changed or the package in .venv is a copy of this checkout (pip without -e).

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
venv="$root/.venv"
needed_gb=6

fail() {
  echo "error: $*" >&2
  exit 1
}

timed() {
  local what="$1" start=$SECONDS
  shift
  "$@"
  echo "$what: $((SECONDS - start)) s"
}

is_supported_python() {
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null
}

find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
    if is_supported_python "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  fail "expected Python 3.11 to 3.13, found $(${PYTHON:-python3} --version 2>&1 | tail -1):" \
    "install one, or name it: PYTHON=/path/to/python3.11 $0"
}

require_free_disk() {
  local free_gb
  free_gb=$(($(df -Pk "$root" | awk 'NR == 2 { print $4 }') / 1000000))
  ((free_gb >= needed_gb)) ||
    fail "expected $needed_gb GB of free disk at $root for the installation, found $free_gb GB"
}

make_venv() {
  local python
  is_supported_python "$venv/bin/python" && return
  python="$(find_python)"
  "$python" -m venv --clear "$venv" ||
    fail "$python cannot make a virtual environment (Debian and Ubuntu: apt install python3-venv)"
}

find_uv() {
  local candidate
  for candidate in "$venv/bin/uv" uv; do
    if "$candidate" --version >/dev/null 2>&1; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

require_pip() {
  "$venv/bin/python" -m pip --version >/dev/null 2>&1 ||
    "$venv/bin/python" -m ensurepip >/dev/null 2>&1 ||
    fail "expected pip in $venv, found none: remove that folder and run again"
}

install_package() {
  local target="${root}[$1]" uv
  if ! find_uv >/dev/null; then
    require_pip
    "$venv/bin/python" -m pip install --quiet uv || echo "no uv to be had: pip takes longer"
  fi
  if uv="$(find_uv)"; then
    "$uv" pip install --quiet --python "$venv/bin/python" --editable "$target"
  else
    "$venv/bin/python" -m pip install --quiet --editable "$target"
  fi
}

is_this_checkout() {
  # Isolated: neither the working folder nor PYTHONPATH may stand in for the installed package.
  local where='import importlib.util as u; print(u.find_spec("fisher_mlip").submodule_search_locations[0])'
  [[ "$("$venv/bin/python" -I -c "$where" 2>/dev/null)" -ef "$root/fisher_mlip" ]]
}

prepare_environment() {
  local extras="$1" stamp hash
  stamp="$venv/.installed-${extras//,/-}"
  hash="$(cksum <"$root/pyproject.toml") $root"
  if [[ -x "$venv/bin/python" && -f "$stamp" && "$(<"$stamp")" == "$hash" ]]; then
    if is_this_checkout; then
      echo "environment: up to date"
      return
    fi
    echo "environment: the fisher-mlip in $venv is not this checkout and is installed anew"
  fi
  require_free_disk
  timed "virtual environment" make_venv
  timed "installation of fisher-mlip[$extras]" install_package "$extras"
  echo "$hash" >"$stamp"
}
