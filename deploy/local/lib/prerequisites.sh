# What must be on the machine before anything is fetched: one line for each thing that is missing.
# shellcheck shell=bash

# have_onnxruntime: npm is asked for only where the library is not there yet.
# shellcheck source=onnxruntime.sh
source "$(dirname "${BASH_SOURCE[0]}")/onnxruntime.sh"

# go_needed: the Go version that the module asks for.
go_needed() { sed -n 's/^go //p' "$ROOT/go.mod"; }

# check_go: GOVERSION is asked for inside the module, so that a Go that fetches its own newer toolchain passes.
check_go() {
  local have want
  want=$(go_needed)
  if ! command -v go >/dev/null; then
    say "error: Go is missing: install Go $want or newer (https://go.dev/dl), then run make again"
    return 1
  fi
  have=$(cd "$ROOT" && go env GOVERSION 2>/dev/null) || have=unknown
  GO_VERSION=${have#go}
  at_least "$GO_VERSION" "$want" && return
  say "error: Go $GO_VERSION is too old: install Go $want or newer (https://go.dev/dl), then run make again"
  return 1
}

# check_cc: the binding to ONNX Runtime is C code, so Go needs a compiler with the C headers.
check_cc() {
  local cc
  cc=${CC:-$(go env CC 2>/dev/null || true)}
  cc=${cc:-cc}
  # CC may carry arguments ("ccache gcc"): its first word is the program.
  if command -v "${cc%% *}" >/dev/null; then
    # shellcheck disable=SC2086 # as above
    printf '#include <stdlib.h>\n' | $cc -E -x c - >/dev/null 2>&1 && return
    say "error: the C compiler ${cc%% *} finds no C headers: install them (Debian and Ubuntu: apt-get install libc6-dev; macOS: xcode-select --install), then run make again"
    return 1
  fi
  say "error: a C compiler (${cc%% *}) is missing: install one (Debian and Ubuntu: apt-get install gcc libc6-dev; macOS: xcode-select --install), then run make again"
  return 1
}

# check_npm: wanted only while the library still has to be fetched.
check_npm() {
  command -v npm >/dev/null && command -v node >/dev/null && return
  say "error: npm is missing: install Node.js 20 or newer with its npm (https://nodejs.org), then run make again; it fetches the ONNX Runtime library"
  return 1
}

# check_prerequisites: every check runs, so that all that is missing is told at once.
check_prerequisites() {
  local missing=0
  if check_go; then
    check_cc || missing=1
  else
    missing=1
  fi
  have_onnxruntime || check_npm || missing=1
  ((missing == 0)) || exit 1
}
