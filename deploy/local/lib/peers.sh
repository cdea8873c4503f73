# The servers that the bench measures Onda beside, each in a virtual environment of its own, from pinned requirements.
# shellcheck shell=bash

# ensure_peers: one that cannot be installed is passed over, and the bench's page says so: nothing of Onda depends on it.
ensure_peers() {
  local requirements name venv
  if ! command -v python3 >/dev/null; then
    say "Python is missing, so no peers are measured: install Python 3.11 with its venv (Debian and Ubuntu: apt-get install python3-venv)"
    return
  fi
  for requirements in "$ROOT"/tests/bench/peers/*/requirements.txt; do
    name=$(basename "$(dirname "$requirements")")
    venv=$LOCAL/bench/venv/$name
    [[ -x $venv/bin/python ]] && cmp -s "$requirements" "$venv/installed" && continue
    mkdir -p "$LOCAL/bench/venv"
    say "installing $name, which the bench measures Onda beside"
    if slowly "$name" "$LOGS/peer-$name.log" install_peer "$requirements" "$venv"; then
      cp "$requirements" "$venv/installed"
    else
      say "$name cannot be installed and will not be measured; log: $(short "$LOGS/peer-$name.log")"
    fi
  done
}

# install_peer REQUIREMENTS VENV: from scratch, so that what an older list had does not stay.
install_peer() {
  python3 -m venv --clear "$2" &&
    "$2/bin/python" -m pip install --disable-pip-version-check --only-binary :all: -r "$1"
}
