# Python with the clients that the tests in tests/clients drive: the one thing besides making models that needs Python.
# shellcheck shell=bash

CLIENTS=$LOCAL/venv/clients
CLIENT_PINS=$ROOT/tests/clients/requirements.txt

# find_python: the first Python on the PATH that the clients have packages for, and that can make virtual environments.
find_python() {
  local python
  for python in python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
    if "$python" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      printf '%s' "$python"
      return
    fi
  done
  return 1
}

# have_clients: what is installed is what is pinned, and its Python is still there.
have_clients() {
  [[ -f $CLIENTS/pins && $(cksum <"$CLIENT_PINS") == "$(<"$CLIENTS/pins")" ]] && "$CLIENTS/bin/python" -c '' 2>/dev/null
}

# explain_pip LOG: why pip failed, in one line.
explain_pip() {
  local log
  log=$(short "$1")
  if grep -q -E 'THESE PACKAGES DO NOT MATCH THE HASHES' "$1"; then
    die "a Python package is not what tests/clients/requirements.txt pins: run make again; if it comes back, clear pip's cache (pip cache purge); log: $log"
  fi
  if grep -q -E 'NewConnectionError|NameResolutionError|ConnectTimeout|Max retries exceeded|ProxyError|Network is unreachable' "$1"; then
    die "cannot reach the Python package index to fetch the clients: check the network or the proxy (pip config list), then run make again; log: $log"
  fi
  if grep -q -E 'No space left on device' "$1"; then
    die "the disk is full: make room (the Python clients need 600 MB), then run make again; log: $log"
  fi
  die "pip could not install tests/clients/requirements.txt ($(grep -m 1 -E '^ERROR' "$1" | cut -c 1-160)): see $log"
}

# ensure_clients: without Python the tests of the clients are skipped, which a user may well live with; CI may not.
ensure_clients() {
  local python
  if have_clients; then return; fi
  if ! python=$(find_python); then
    local text="Python 3.11 to 3.13 with its venv is missing: without it the tests of other people's clients do not run (Debian and Ubuntu: apt-get install python3-venv)"
    [[ -z ${CI:-} ]] || die "$text"
    say "note: $text"
    return 0
  fi
  say "fetching the Python clients that the tests drive (tests/clients/requirements.in, 100 MB)"
  rm -rf "$CLIENTS"
  "$python" -m venv "$CLIENTS" >"$LOGS/clients.log" 2>&1 || die "cannot make a virtual environment: see $(short "$LOGS/clients.log")"
  # Wheels alone: nothing that is fetched runs before the tests do.
  slowly 'Python clients' "$LOGS/clients.log" \
    "$CLIENTS/bin/python" -m pip install --disable-pip-version-check --no-input --require-hashes --only-binary :all: -r "$CLIENT_PINS" ||
    explain_pip "$LOGS/clients.log"
  cksum <"$CLIENT_PINS" >"$CLIENTS/pins"
}
