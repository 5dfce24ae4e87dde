#!/usr/bin/env bash
# Makes .venv with everything requirements.lock pins and this package, editable. Called by `make setup`.
set -euo pipefail
cd "$(dirname "$0")/.."

# Of the interpreters we support the newest one that runs: version managers leave shims that do not.
find_python() {
  for version in 3.13 3.12 3.11; do
    for name in "python$version" python3 python; do
      if "$name" -c "import sys; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" 2>/dev/null; then
        command -v "$name"
        return
      fi
    done
  done
  echo "setup: no Python 3.11, 3.12 or 3.13 found; install one of them" >&2
  return 1
}

if [ ! -x .venv/bin/python ]; then
  python=$(find_python)
  echo "setup: making .venv with $("$python" --version)"
  if command -v uv >/dev/null; then
    uv venv --quiet --python "$python" .venv
  else
    "$python" -m venv .venv || { echo "setup: that Python has no venv module (Debian: python3-venv)" >&2; exit 1; }
  fi
else
  echo "setup: updating .venv with $(.venv/bin/python --version)"
fi
if command -v uv >/dev/null; then
  uv=uv
else
  [ -x .venv/bin/uv ] || .venv/bin/python -m pip install --quiet --disable-pip-version-check uv
  uv=.venv/bin/uv
fi
export VIRTUAL_ENV="$PWD/.venv"
# Compiled now: where Python may not write it would compile Composer anew at every start.
"$uv" pip sync --quiet --compile-bytecode requirements.lock
"$uv" pip install --quiet --no-deps --no-build-isolation --editable .
touch .venv/.ready
