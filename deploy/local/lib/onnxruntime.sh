# The ONNX Runtime library, taken out of an npm package whose tarball and library are pinned by checksum.
# shellcheck shell=bash

# onnxruntime_platform: the name that the package gives this system, or nothing where it has no library for it.
onnxruntime_platform() {
  case $(uname -s)-$(uname -m) in
    Linux-x86_64) echo linux/x64 ;;
    Linux-aarch64 | Linux-arm64) echo linux/arm64 ;;
    Darwin-arm64) echo darwin/arm64 ;;
  esac
}

onnxruntime_library() {
  local suffix=so
  [[ $(uname -s) != Darwin ]] || suffix=dylib
  printf '%s' "$LOCAL/onnxruntime/$ONNXRUNTIME_VERSION/libonnxruntime.$suffix"
}

# onnxruntime_sha256: the pin for this system.
onnxruntime_sha256() {
  local platform pin
  platform=$(onnxruntime_platform)
  pin=ONNXRUNTIME_SHA256_${platform//\//_}
  printf '%s' "${!pin:-}"
}

# have_onnxruntime: reads the whole library each time, which takes 0.2 s and finds any damage.
have_onnxruntime() {
  local library
  library=$(onnxruntime_library)
  [[ -f $library && $(checksum 256 "$library") == "$(onnxruntime_sha256)" ]]
}

# explain_npm LOG: why npm failed, in one line.
explain_npm() {
  local log
  log=$(short "$1")
  if grep -q -E 'EINTEGRITY|sha512 integrity checksum failed' "$1"; then
    die "the download of onnxruntime-node $ONNXRUNTIME_VERSION is corrupt ($(grep -m 1 -o -E 'sha512-.*' "$1" | cut -c 1-240 || echo 'npm: EINTEGRITY')): run make again; if it comes back, clear npm's cache (npm cache clean --force); log: $log"
  fi
  if grep -q -E 'ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT|EIDLETIMEOUT|socket hang up' "$1"; then
    die "cannot reach the npm registry to fetch onnxruntime-node $ONNXRUNTIME_VERSION: check the network or the proxy (npm config get proxy), then run make again; log: $log"
  fi
  if grep -q -E 'ENOSPC|no space left' "$1"; then
    die "the disk is full: make room (the set-up needs 1 GB here and 3 GB in Go's cache), then run make again; log: $log"
  fi
  die "npm could not fetch onnxruntime-node $ONNXRUNTIME_VERSION ($(sed -n -E 's/^npm (error|ERR!) code //p' "$1" | head -n 1)): see $log"
}

# verify KIND FILE WANT NAME: removes a file that is not what was pinned, and says so.
verify() {
  local got
  got=$(checksum "$1" "$2")
  [[ $got == "$3" ]] && return
  rm -f "$2"
  die "the download of $4 is corrupt (SHA-$1 expected $3, got $got) and was removed: run make again; if it comes back, clear npm's cache (npm cache clean --force)"
}

ensure_onnxruntime() {
  local library platform member tarball log
  library=$(onnxruntime_library)
  have_onnxruntime && return
  platform=$(onnxruntime_platform)
  [[ -n $platform ]] || die "there is no ONNX Runtime library for $(uname -s) on $(uname -m): Linux on x86_64 or arm64, or macOS on arm64, is needed"
  if [[ -f $library ]]; then
    say "$(short "$library") is damaged: fetching it again"
    rm -f "$library"
  fi
  case $platform in
    darwin/*) member=package/bin/napi-v6/$platform/libonnxruntime.$ONNXRUNTIME_VERSION.dylib ;;
    *) member=package/bin/napi-v6/$platform/libonnxruntime.so.1 ;;
  esac

  log=$LOGS/onnxruntime.log
  tarball=$SCRATCH/onnxruntime-node-$ONNXRUNTIME_VERSION.tgz
  say "fetching ONNX Runtime $ONNXRUNTIME_VERSION (npm package onnxruntime-node, 108 MiB)"
  # Few and short retries: npm's own take two minutes to say that there is no network.
  slowly "ONNX Runtime $ONNXRUNTIME_VERSION" "$log" \
    npm pack "onnxruntime-node@$ONNXRUNTIME_VERSION" --pack-destination "$SCRATCH" --prefer-offline \
    --fetch-retries 2 --fetch-retry-mintimeout 1000 --fetch-retry-maxtimeout 5000 ||
    explain_npm "$log"
  verify 512 "$tarball" "$ONNXRUNTIME_TARBALL_SHA512" "onnxruntime-node $ONNXRUNTIME_VERSION"
  tar -xzf "$tarball" -C "$SCRATCH" "$member" 2>>"$log" ||
    die "cannot unpack onnxruntime-node $ONNXRUNTIME_VERSION (is the disk full?): see $(short "$log")"
  verify 256 "$SCRATCH/$member" "$(onnxruntime_sha256)" "the ONNX Runtime library"
  mkdir -p "$(dirname "$library")"
  mv "$SCRATCH/$member" "$library"
  rm -f "$tarball"
}
