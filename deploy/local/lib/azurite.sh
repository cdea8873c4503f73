# Azurite, Microsoft's emulator of Azure Storage, which the tests talk to: an npm package and what it depends on, each of
# them pinned by its SHA-512 in azurite/package-lock.json.
# shellcheck shell=bash

# Version 3.35 is the newest that runs on Node.js 20, which is what the set-up asks for.
azurite_home() { printf '%s' "$LOCAL/azurite/$AZURITE_VERSION"; }

# azurite_stamp: what an installation depends on.
azurite_stamp() { cat "$ROOT/deploy/local/azurite/package.json" "$ROOT/deploy/local/azurite/package-lock.json" | cksum; }

# have_azurite: the stamp is written last, so what has it is whole.
have_azurite() {
  local home
  home=$(azurite_home)
  [[ -f $home/.stamp && $(<"$home/.stamp") == "$(azurite_stamp)" && -x $home/node_modules/.bin/azurite-blob ]]
}

# explain_azurite LOG: why npm failed, in one line.
explain_azurite() {
  local log
  log=$(short "$1")
  if grep -q -E 'EINTEGRITY' "$1"; then
    die "a package of Azurite is not what azurite/package-lock.json pins ($(grep -m 1 -o -E 'sha512-.*' "$1" | cut -c 1-240 || echo 'npm: EINTEGRITY')): run make again; if it comes back, clear npm's cache (npm cache clean --force); log: $log"
  fi
  if grep -q -E 'ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT|EIDLETIMEOUT|socket hang up' "$1"; then
    die "cannot reach the npm registry to fetch Azurite $AZURITE_VERSION: check the network or the proxy (npm config get proxy), then run make again; log: $log"
  fi
  if grep -q -E 'ENOSPC|no space left' "$1"; then
    die "the disk is full: make room (Azurite needs 250 MB), then run make again; log: $log"
  fi
  die "npm could not fetch Azurite $AZURITE_VERSION ($(sed -n -E 's/^npm (error|ERR!) code //p' "$1" | head -n 1)): see $log"
}

ensure_azurite() {
  local pins=$ROOT/deploy/local/azurite log=$LOGS/azurite.log
  have_azurite && return
  check_npm || exit 1
  grep -q "\"azurite\": \"$AZURITE_VERSION\"" "$pins/package.json" ||
    die "versions.env has Azurite $AZURITE_VERSION, and azurite/package.json another one"
  say "fetching Azurite $AZURITE_VERSION (npm package azurite, 190 MB with what it depends on)"
  mkdir -p "$SCRATCH/azurite"
  cp "$pins/package.json" "$pins/package-lock.json" "$SCRATCH/azurite/"
  # No scripts: nothing that is fetched runs before the tests do. Few and short retries, as for ONNX Runtime.
  slowly "Azurite $AZURITE_VERSION" "$log" \
    in_dir "$SCRATCH/azurite" npm ci --ignore-scripts --omit dev --no-audit --no-fund --prefer-offline \
    --fetch-retries 2 --fetch-retry-mintimeout 1000 --fetch-retry-maxtimeout 5000 ||
    explain_azurite "$log"
  azurite_stamp >"$SCRATCH/azurite/.stamp"
  install_dir "$SCRATCH/azurite" "$(azurite_home)"
}
