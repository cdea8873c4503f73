#!/usr/bin/env bash
# Makes the Go code of app/ingress/inferencepb from its .proto file again. `make generate` runs it, through the go:generate
# line beside that file. The compiler and the generators are Go modules pinned by the go.mod here; they are built into
# .local the first time, and Go itself sees when they are out of date.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../lib/common.sh
source "$here/../lib/common.sh"

tools=$LOCAL/tools/proto
target=$ROOT/app/ingress/inferencepb
mkdir -p "$tools"
# Neither a workspace file nor flags of the user's take part: what is generated must depend on the pins alone.
(
  cd "$here"
  GOWORK=off GOFLAGS=-mod=readonly CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$tools/" \
    . google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc
) || die "cannot build the code generators of deploy/local/proto: see above"
"$tools/proto" -I "$target" -out "$target" \
  -plugin "$tools/protoc-gen-go paths=source_relative" \
  -plugin "$tools/protoc-gen-go-grpc paths=source_relative" \
  inference.proto
