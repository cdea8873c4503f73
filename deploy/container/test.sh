#!/usr/bin/env bash
# Builds the image and scores with it on a machine that reaches the Debian mirror, the Go module proxy and the npm registry
# but no image registry: stand-ins for the three public images are made out of Debian packages and this machine's Go and
# Node. As root, with buildah, runc, debootstrap, unshare, nsenter, curl, jq, go, node and npm (Debian: apt-get install
# --no-install-recommends buildah runc debootstrap util-linux curl jq).
#
#   deploy/container/test.sh      (make image-check)
#
# ONDA_CONTAINER_DIR=DIR keeps the stand-ins and the layers in DIR, so that the next run is short; without it everything is
# removed at the end. ONDA_CONTAINER_LIST=1 has the images' lists of contents made and checked as well: the first time that
# builds syft, which takes longer than all the rest. ONDA_CONTAINER_CUDA=1 builds and starts the image for GPUs as well, which
# takes 20 GB of room. DEBIAN_MIRROR chooses another mirror. The builds use this machine's caches of Go's modules and objects.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly ROOT
readonly SUITE=trixie VERSION=0.0.0-test
# The time of the files in the images: any will do, as long as all builds have the same.
readonly EPOCH=1795500000
# Of the image without models, unpacked.
readonly LIMIT_BYTES=120000000
# What onda says where the image for GPUs runs without one.
readonly NO_GPU='or use device cpu'
MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
WORK=${ONDA_CONTAINER_DIR:-}
LIST=${ONDA_CONTAINER_LIST:-0}
CUDA=${ONDA_CONTAINER_CUDA:-0}
readonly CONTAINERS=(with-models without-models other-user cuda)

say() { printf '%s\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# engine ARGUMENTS...: buildah with a storage of its own, so that no image of this machine is seen or touched.
engine() {
  buildah --root "$WORK/storage" --runroot "$WORK/run" "$@"
}

# step NAME COMMAND...: says how long it took, and how much room all that was made until then takes.
step() {
  local began=$SECONDS name=$1
  shift
  "$@"
  say "  ($name: $((SECONDS - began)) s; $(du -sm --one-file-system "$WORK" | cut -f 1) MB in use)"
}

# apart: runs this script again with mounts and processes of its own, which go with its first process: whatever runs or is
# mounted there, for however deep within buildah, is gone before what it used is removed.
apart() {
  local status=0
  unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
    env ONDA_CONTAINER_APART=1 ONDA_CONTAINER_DIR="$WORK" "${BASH_SOURCE[0]}" &
  APART=$!
  wait "$APART" || status=$?
  APART=''
  return "$status"
}

# shellcheck disable=SC2317 # called by the trap
end_apart() {
  local status=$? first
  trap - EXIT
  if [[ -n $APART ]]; then
    # The end of the first process of all those is the end of all; unshare itself waits for it, and heeds no signal.
    first=$(cat "/proc/$APART/task/$APART/children" 2>/dev/null) || true
    # shellcheck disable=SC2086 # none or one
    kill -KILL ${first:-$APART} 2>/dev/null || true
    wait "$APART" 2>/dev/null || true
  fi
  # Control groups of containers that were ended so stand outside of all that.
  end_containers
  if ((KEEP == 0)); then rm -rf --one-file-system "$WORK"; fi
  exit "$status"
}

end_containers() {
  local name
  for name in "${CONTAINERS[@]}"; do
    if [[ -e $WORK/runc/$name ]]; then container delete --force "$name" >/dev/null 2>&1 || true; fi
  done
}

check_machine() {
  local tool
  ((EUID == 0)) || die "run this as root: debootstrap and the containers need it"
  for tool in buildah runc debootstrap unshare nsenter curl jq go node npm; do
    command -v "$tool" >/dev/null || die "$tool is missing (see the top of this script)"
  done
}

# shellcheck source=standins.sh
source "$ROOT/deploy/container/standins.sh"
# shellcheck source=runs.sh
source "$ROOT/deploy/container/runs.sh"

# have_image NAME
have_image() { engine inspect --type image "localhost/$1" >/dev/null 2>&1; }

# root_of NAME: the folder with the files of the image, under a name of its own for each call of this script.
root_of() {
  engine inspect --type container "root-$1" >/dev/null 2>&1 || engine from --pull-never --name "root-$1" "localhost/$1" >/dev/null
  engine mount "root-$1"
}

# bytes_of NAME: what the files of the image take, unpacked.
bytes_of() { find "$(root_of "$1")" -xdev -type f -printf '%s\n' | awk '{ sum += $1 } END { printf "%d", sum }'; }

# build TARGET TAG [OPTIONS...]: as `make image` does, with other bases.
build() {
  local target=$1 tag=$2 log=$WORK/build-$1-$2.log began=$SECONDS cache modules
  shift 2
  cache=$(cd "$ROOT" && go env GOCACHE)
  modules=$(cd "$ROOT" && go env GOMODCACHE)
  mkdir -p "$cache" "$modules"
  env ENGINE="buildah --root $WORK/storage --runroot $WORK/run" LIST="$LIST" TARGET="$target" IMAGE="localhost/$target:$tag" \
    VERSION="$VERSION" SOURCE_DATE_EPOCH="$EPOCH" OUT="$WORK/lists/$tag" "$ROOT/deploy/container/build.sh" --pull-never --isolation chroot \
    --volume "$cache:/root/.cache/go-build" --volume "$modules:/root/go/pkg/mod" \
    --build-arg GO_IMAGE=localhost/stand-in/builder --build-arg NODE_IMAGE=localhost/stand-in/builder \
    --build-arg PYTHON_IMAGE=localhost/stand-in/python --build-arg BASE_IMAGE=localhost/stand-in/base "$@" >"$log" 2>&1 ||
    die "the build of $target failed: $(tail -n 20 "$log")"
  say "built $target in $((SECONDS - began)) s: $(tail -n 1 "$log")"
}

# layers IMAGE: what identifies each, as JSON.
layers() { engine inspect --type image "localhost/$1" | jq --compact-output .OCIv1.rootfs.diff_ids; }

# check_repeatable TARGET: built again from the first step on, it has the same layers.
check_repeatable() {
  local first second
  build "$1" again --no-cache
  first=$(layers "$1:latest")
  second=$(layers "$1:again")
  [[ $first == "$second" ]] || die "two builds of $1 differ in their layers: $first and $second"
  say "  a second build has the same $(jq length <<<"$first") layers"
  [[ $LIST == 1 ]] || return 0
  cmp -s "$WORK/lists/latest/$1-$VERSION.spdx.json" "$WORK/lists/again/$1-$VERSION.spdx.json" ||
    die "two builds of $1 differ in the list of what is in them: see $WORK/lists"
  say "  and the same list"
}

# check_list TARGET: every Go module of the program and ONNX Runtime are in the list, with their versions.
check_list() {
  local list=$WORK/lists/latest/$1-$VERSION.spdx.json program missing count
  [[ $LIST == 1 ]] || return 0
  program=$(root_of "$1")/usr/local/bin/onda
  # A module that is replaced stands on the line after; it is the one that is linked.
  go version -m "$program" | awk '
    $1 == "dep" { if (kept != "") print kept; kept = $2 " " $3 }
    $1 == "=>" { kept = $2 " " $3 }
    END { if (kept != "") print kept }' | sort -u >"$WORK/wanted"
  sed -n 's/^ONNXRUNTIME_VERSION=/onnxruntime /p' "$ROOT/deploy/local/versions.env" >>"$WORK/wanted"
  count=$(wc -l <"$WORK/wanted")
  ((count > 50)) || die "go version tells of $((count - 1)) modules in onda alone: is it the program?"
  missing=$(jq -r '.packages[] | "\(.name) \(.versionInfo)"' "$list" | grep -v -x -F -f - "$WORK/wanted" || true)
  [[ -z $missing ]] || die "not in the list of what is in $1: $missing"
  say "  the list has all $((count - 1)) Go modules and ONNX Runtime, of $(jq '.packages | length' "$list") packages"
}

# check_config IMAGE: what it says of itself, and that no engine would start it as root.
check_config() {
  local config label value
  config=$(engine inspect --type image "localhost/$1" | jq --compact-output .OCIv1.config)
  for label in title description licenses source version; do
    value=$(jq -r --arg key "org.opencontainers.image.$label" '.Labels[$key] // ""' <<<"$config")
    [[ -n $value ]] || die "$1 has no label org.opencontainers.image.$label"
  done
  [[ $value == "$VERSION" ]] || die "$1 has the label org.opencontainers.image.version=$value, not $VERSION"
  value=$(jq -r .User <<<"$config")
  [[ $value == "$UID_IN_IMAGE:$UID_IN_IMAGE" ]] || die "$1 starts as user $value, not $UID_IN_IMAGE:$UID_IN_IMAGE"
  say "  user $value; labels: $(jq -r '[.Labels | to_entries[] | "\(.key | sub("org.opencontainers.image."; ""))=\(.value)"] | join(", ")' <<<"$config")"
}

# check_size TARGET BYTES
check_size() {
  local size
  size=$(bytes_of "$1")
  ((size < $2)) || die "$1 is $size bytes unpacked, and is to be below $2"
  say "  $size bytes unpacked, below $2"
}

# mib BYTES
mib() { awk -v bytes="$1" 'BEGIN { printf "%.1f MiB", bytes / 1048576 }'; }

# print_size IMAGE: unpacked, and as pushed (each layer with gzip); of both, the base's share.
print_size() {
  local packed=$WORK/packed.tar
  rm -f "$packed"
  engine push --quiet "localhost/$1" "oci-archive:$packed" >/dev/null
  say "size of $1: $(mib "$(bytes_of "$1")") unpacked, of which the stand-in base $(mib "$(bytes_of stand-in/base)"); $(mib "$(stat -c %s "$packed")") packed"
  rm -f "$packed"
}

# test_image: all of it, with mounts and processes of its own.
test_image() {
  trap end_containers EXIT
  # A run that was ended left notes of mounts that are none here, and working containers with a copy of nothing.
  rm -rf --one-file-system "$WORK/run" "$WORK/runc"
  engine rm --all >/dev/null 2>&1 || true
  say "making stand-ins for the public images (Debian $SUITE, $(cd "$ROOT" && go env GOVERSION), node $(node --version))"
  step 'stand-in for golang and node' stand_in_builder
  step 'stand-in for distroless' stand_in_base
  step 'first build' build onda-without-models latest
  step 'second image' build onda latest
  step 'image with models' test_with_models
  step 'image without models' test_without_models
  step 'building again' check_repeatable onda-without-models
  step sizes print_sizes
  if [[ $CUDA == 1 ]]; then
    step 'stand-in for python' stand_in_python
    step 'build for GPUs' build onda-cuda latest
    step 'image for GPUs' test_cuda
  fi
  say "passed in $SECONDS s"
}

test_with_models() {
  say "onda:"
  check_files onda
  check_config onda
  bundle other-user onda
  edit other-user '.process.user = {uid: 10001, gid: 10001} | .process.args[1] = "version"'
  [[ $(container run --bundle "$WORK/bundles/other-user" other-user) == "onda $VERSION" ]] ||
    die "onda version, as another user, does not say $VERSION"
  bundle with-models onda
  run with-models
  check_process
  score
  stop with-models
  cold_start with-models
  stop with-models
}

test_without_models() {
  say "onda-without-models, with the models mounted at /models:"
  check_files onda-without-models
  check_config onda-without-models
  check_size onda-without-models "$LIMIT_BYTES"
  check_list onda-without-models
  bundle without-models onda-without-models
  # shellcheck disable=SC2016 # it is jq's
  edit without-models '.mounts += [{destination: "/models", type: "bind", source: $ARGS.positional[0], options: ["rbind", "ro"]}]' "$ROOT/models"
  run without-models
  score
  stop without-models
}

# test_cuda: what can be seen of it without a GPU. The image asks for one, and onda takes no processor in its place unless told.
test_cuda() {
  local said code=0
  say "onda-cuda:"
  check_files onda-cuda
  check_config onda-cuda
  bundle cuda onda-cuda
  edit cuda '.process.args[1] = "version"'
  said=$(container run --bundle "$WORK/bundles/cuda" cuda)
  [[ $said == "onda $VERSION" ]] || die "onda version says $said, not onda $VERSION"
  # shellcheck disable=SC2016 # it is jq's
  edit cuda '.process.args[1] = "serve" |
    .mounts += [{destination: "/models", type: "bind", source: $ARGS.positional[0], options: ["rbind", "ro"]}]' "$ROOT/models"
  said=$(timeout 60 runc --root "$WORK/runc" run --bundle "$WORK/bundles/cuda" cuda 2>&1) || code=$?
  ((code == 1)) || die "without a GPU it ended with $code, not 1: $said"
  [[ $said == *"$NO_GPU"* ]] || die "without a GPU it does not say \"$NO_GPU\": $said"
  say "  without a GPU it ends with 1: $(tail -n 1 <<<"$said" | jq -r .error)"
  edit cuda '.process.env += ["ONDA_DEVICE=cpu"]'
  run cuda
  score
  stop cuda
  print_size onda-cuda
}

print_sizes() {
  print_size onda
  print_size onda-without-models
}

check_machine
KEEP=1 APART=''
if [[ -n ${ONDA_CONTAINER_APART:-} ]]; then
  test_image
  exit
fi
if [[ -z $WORK ]]; then
  WORK=$(mktemp -d /var/tmp/onda-container.XXXXXX)
  KEEP=0
fi
mkdir -p "$WORK"
WORK=$(cd "$WORK" && pwd)
trap end_apart EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
apart
