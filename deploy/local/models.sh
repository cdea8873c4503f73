#!/usr/bin/env bash
# Makes the models again from their sources: runs every models/MODEL/FOLDER/export.py or train.py that has a
# requirements.txt beside it, in a virtual environment of its own under .local. This is the one thing here that needs Python.
set -euo pipefail

# shellcheck source=lib/common.sh
source "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/lib/common.sh"
cd "$ROOT"

command -v python3 >/dev/null || die "Python is missing: install Python 3.11 or newer with its venv (Debian and Ubuntu: apt-get install python3-venv), then run make models again"

for requirements in models/*/*/requirements.txt; do
  folder=$(dirname "$requirements")
  venv=$LOCAL/venv/$(basename "$(dirname "$folder")")
  say "$folder: installing what it needs into $(short "$venv")"
  [[ -x $venv/bin/python ]] || python3 -m venv "$venv" || die "cannot make a virtual environment: install Python's venv (Debian and Ubuntu: apt-get install python3-venv), then run make models again"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements" ||
    die "cannot install $requirements: see above"
  for script in "$folder"/export.py "$folder"/train.py; do
    [[ -f $script ]] || continue
    say "$script"
    # ONNX Runtime collects telemetry unless it is told not to.
    ORT_DISABLE_TELEMETRY=1 "$venv/bin/python" "$script"
  done
done
