#!/usr/bin/env bash
# Makes the Go code of the .proto files in the current folder again. `make generate` runs it, through the go:generate line
# beside those files. The compiler and the generators are Go modules pinned by the go.mod here; they are built into .local
# the first time, and Go itself sees when they are out of date.
set -euo pipefail

target=$PWD
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../lib/common.sh
source "$here/../lib/common.sh"

tools=$LOCAL/tools/proto
# Files import each other by name alone, as the protocol's own do: every folder that has some is searched.
imports=(-I "$target" -I "$ROOT/app/ingress/inferencepb" -I "$ROOT/app/triton/configpb")
shopt -s nullglob
files=(*.proto)
((${#files[@]})) || die "there is no .proto file in $target"
mkdir -p "$tools"
# Neither a workspace file nor flags of the user's take part: what is generated must depend on the pins alone.
(
  cd "$here"
  GOWORK=off GOFLAGS=-mod=readonly CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$tools/" \
    . google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc
) || die "cannot build the code generators of deploy/local/proto: see above"
"$tools/proto" "${imports[@]}" -out "$target" \
  -plugin "$tools/protoc-gen-go paths=source_relative" \
  -plugin "$tools/protoc-gen-go-grpc paths=source_relative" \
  "${files[@]}"
