# Programs built from Go modules: the pinned tools, and Onda's own.
# shellcheck shell=bash

# explain_go WHAT LOG: why a Go command failed, in one line.
explain_go() {
  local log
  log=$(short "$2")
  if grep -q -E 'checksum mismatch|SECURITY ERROR|verifying (module|go\.mod)' "$2"; then
    die "a Go module of $1 is corrupt ($(grep -m 1 -o -E 'verifying .*' "$2" | cut -c 1-160)): run go clean -modcache, then make again; log: $log"
  fi
  if grep -q -E 'dial tcp|no such host|connection refused|i/o timeout|network is unreachable|TLS handshake timeout|proxyconnect|connection reset' "$2"; then
    die "cannot reach the Go module proxy to build $1: check the network or the proxy (go env GOPROXY), then run make again; log: $log"
  fi
  if grep -q -E 'no space left on device' "$2"; then
    die "the disk is full: make room (the set-up needs 1 GB here and 3 GB in Go's cache), then run make again; log: $log"
  fi
  if grep -q -E 'signal: killed|cannot allocate memory' "$2"; then
    die "building $1 ran out of memory (2 GB are needed): close other programs, then run make again; log: $log"
  fi
  die "cannot build $1: $(grep -m 1 -E '\.go:[0-9]+|^go: [^d]|error' "$2" | cut -c 1-200); log: $log"
}

# pinned MODULE_DIR MODULE: the version that deploy/local/MODULE_DIR/go.mod requires, without its v.
pinned() { sed -n -E "s|^(require)?[[:space:]]+$2 v([^ ]+).*|\2|p" "$ROOT/deploy/local/$1/go.mod"; }

# stamp_of MODULE_DIR FLAGS: what a build depends on. An item whose stamp differs is built again.
stamp_of() {
  printf '%s %s %s\n' "$(cat "$ROOT/deploy/local/$1/go.mod" "$ROOT/deploy/local/$1/go.sum" | cksum)" "$(uname -sm)" "$2"
}

# have_item DIR STAMP PROGRAM...: is all of it in place, as this stamp asks?
have_item() {
  local dir=$1 stamp=$2 program
  shift 2
  [[ -f $dir/.stamp && $(<"$dir/.stamp") == "$stamp" ]] || return 1
  for program in "$@"; do [[ -x $dir/$program ]] || return 1; done
}

# go_build LABEL LOG MODULE_DIR ARGUMENTS...: builds from the pins alone: no workspace file and no flags of the user's
# take part. No cgo, as in the releases of these programs.
go_build() {
  local label=$1 log=$2 dir=$3
  shift 3
  slowly "$label" "$log" \
    in_dir "$ROOT/deploy/local/$dir" env GOWORK=off GOFLAGS=-mod=readonly CGO_ENABLED=0 \
    go build -v -trimpath -buildvcs=false "$@" || explain_go "$label" "$log"
}

dapr_home() { printf '%s' "$LOCAL/dapr/$DAPR_VERSION"; }
dapr_cli() { printf '%s' "$LOCAL/tools/dapr/$DAPR_CLI_VERSION/dapr"; }

# ensure_daprd: daprd and sentry, laid out as `dapr init` does: a folder to give as DAPR_RUNTIME_PATH.
ensure_daprd() {
  local stamp
  stamp=$(stamp_of dapr "stablecomponents $DAPR_VERSION, version in logs")
  have_item "$(dapr_home)" "$stamp" .dapr/bin/daprd .dapr/bin/sentry && return
  say "building daprd and sentry $DAPR_VERSION from their Go modules (the first time about 5 minutes on 2 cores)"
  mkdir -p "$SCRATCH/dapr/.dapr/bin"
  go_build "daprd and sentry $DAPR_VERSION" "$LOGS/daprd.log" dapr -tags stablecomponents \
    -ldflags "-s -w -X github.com/dapr/dapr/pkg/buildinfo.version=$DAPR_VERSION -X github.com/dapr/kit/logger.DaprVersion=$DAPR_VERSION" \
    -o "$SCRATCH/dapr/.dapr/bin/" github.com/dapr/dapr/cmd/daprd github.com/dapr/dapr/cmd/sentry
  printf '%s\n' "$stamp" >"$SCRATCH/dapr/.stamp"
  install_dir "$SCRATCH/dapr" "$(dapr_home)"
}

# ensure_tool NAME VERSION LABEL MODULE_DIR STAMP ARGUMENTS...: one program into tools/NAME/VERSION/NAME.
ensure_tool() {
  local name=$1 version=$2 module=$3 stamp=$4 hint=$5 dir=$LOCAL/tools/$1/$2
  shift 5
  if have_item "$dir" "$stamp" "$name"; then
    link_tool "$name" "$version"
    return
  fi
  say "building $name $version from its Go module ($hint)"
  mkdir -p "$SCRATCH/$name"
  go_build "$name $version" "$LOGS/$name.log" "$module" -o "$SCRATCH/$name/$name" "$@"
  printf '%s\n' "$stamp" >"$SCRATCH/$name/.stamp"
  install_dir "$SCRATCH/$name" "$dir"
  link_tool "$name" "$version"
}

# link_tool NAME VERSION: tools/bin holds the version in force of every tool, so that the Makefile need not know versions.
link_tool() {
  mkdir -p "$LOCAL/tools/bin"
  [[ $(readlink "$LOCAL/tools/bin/$1" || true) == "../$1/$2/$1" ]] || ln -sfn "../$1/$2/$1" "$LOCAL/tools/bin/$1"
}

ensure_dapr_cli() {
  ensure_tool dapr "$DAPR_CLI_VERSION" cli "$(stamp_of cli "$DAPR_CLI_VERSION")" "the first time about 2 minutes on 2 cores" \
    -ldflags "-s -w -X main.version=$DAPR_CLI_VERSION" github.com/dapr/cli
}

ensure_golangci_lint() {
  local version
  version=$(pinned lint github.com/golangci/golangci-lint/v2)
  # A linter refuses code for a newer Go than it was built with, hence the Go version in the stamp.
  ensure_tool golangci-lint "$version" lint "$(stamp_of lint "$GO_VERSION")" "the first time about 3 minutes on 2 cores" \
    -ldflags "-s -w -X main.version=$version" github.com/golangci/golangci-lint/v2/cmd/golangci-lint
}

ensure_govulncheck() {
  local version
  version=$(pinned tools golang.org/x/vuln)
  ensure_tool govulncheck "$version" tools "$(stamp_of tools "$GO_VERSION")" "some seconds" \
    -ldflags "-s -w" golang.org/x/vuln/cmd/govulncheck
}

ensure_gotestsum() {
  local version
  version=$(pinned tools gotest.tools/gotestsum)
  ensure_tool gotestsum "$version" tools "$(stamp_of tools '')" "some seconds" -ldflags "-s -w" gotest.tools/gotestsum
}

# ensure_chart_tools: what the tests of deploy/chart run.
ensure_chart_tools() {
  local version
  version=$(pinned tools/chart helm.sh/helm/v4)
  ensure_tool helm "$version" tools/chart "$(stamp_of tools/chart helm)" "the first time about a minute on 2 cores" \
    -ldflags "-s -w -X helm.sh/helm/v4/internal/version.version=v$version" helm.sh/helm/v4/cmd/helm
  version=$(pinned tools/chart github.com/yannh/kubeconform)
  ensure_tool kubeconform "$version" tools/chart "$(stamp_of tools/chart kubeconform)" "some seconds" \
    -ldflags "-s -w -X main.version=v$version" github.com/yannh/kubeconform/cmd/kubeconform
}

# suitable_dapr: sets DAPR_CLI and DAPRD to an installed pair that will do: the command from 1.12 on, and a daprd of our
# minor version where that command looks for it.
# shellcheck disable=SC2034 # for the caller
suitable_dapr() {
  local cli daprd version
  cli=$(command -v dapr) || return 1
  daprd=${DAPR_RUNTIME_PATH:-$HOME}/.dapr/bin/daprd
  [[ -x $daprd ]] || return 1
  version=$("$daprd" --version 2>/dev/null) || return 1
  [[ $version == "${DAPR_VERSION%.*}".* ]] || return 1
  version=$("$cli" --version 2>/dev/null | sed -n 's/^CLI version: *//p') || return 1
  at_least "${version:-0}" "$DAPR_CLI_VERSION" || return 1
  DAPR_CLI=$cli DAPRD=$daprd
}

# choose_dapr: an installed pair where it will do, else ours.
# shellcheck disable=SC2034 # for the caller
choose_dapr() {
  suitable_dapr && return
  DAPR_CLI=$(dapr_cli) DAPRD=$(dapr_home)/.dapr/bin/daprd
}

# build_app: the two programs of this repository. Errors of the compiler are shown as they are: they are the developer's own.
build_app() {
  local log=$LOGS/app.log
  mkdir -p "$LOCAL/bin"
  slowly "building onda and portal" "$log" \
    in_dir "$ROOT" env CGO_ENABLED=1 go build -buildvcs=false -o "$LOCAL/bin/" ./app/cmd/onda ./app/cmd/portal && return
  if grep -q -E '\.go:[0-9]+:[0-9]+: ' "$log" && ! grep -q 'dial tcp' "$log"; then
    cat "$log" >&2
    die "onda does not compile: see above"
  fi
  explain_go "onda and portal" "$log"
}
