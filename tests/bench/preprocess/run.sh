#!/usr/bin/env bash
# Compares the preparation of pictures with Pillow's. Arguments go to the program, such as
# --out FILE.json, --photos DIR and --quick; needs Go and Python 3.11 or newer. Pillow and
# numpy are installed into a folder of their own the first time. Paths are relative to the repository.
set -euo pipefail
cd "$(dirname "$0")/../../.."
python=.local/bench/python
if ! cmp -s tests/bench/preprocess/requirements.txt "$python/installed"; then
  "${PYTHON:-python3}" -m venv --clear "$python"
  "$python/bin/pip" install --quiet --disable-pip-version-check -r tests/bench/preprocess/requirements.txt
  cp tests/bench/preprocess/requirements.txt "$python/installed"
fi
go build -o .local/bench/preprocess ./tests/bench/preprocess
exec .local/bench/preprocess --python "$python/bin/python" "$@"
