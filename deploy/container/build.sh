#!/usr/bin/env bash
# Builds an image so that the same commit gives the same layers, and lists beside it what is in it (SPDX). `make image` runs
# this; what is given here goes on to the engine's build.
#
#   TARGET=onda-cuda deploy/container/build.sh [--no-cache ...]
#
#   TARGET             onda (the default), onda-without-models or onda-cuda
#   VERSION            what `onda version` says; else what git describes
#   IMAGE              the name, with a tag or without (then VERSION); else TARGET
#   ENGINE             docker, podman or buildah, with options of its own; else the first that is there
#   SOURCE_DATE_EPOCH  the time that all files in the image get, in seconds; else that of the commit
#   OUT                the folder for the list; else .local/image
#   LIST               0 makes no list: for a try, not for an image that goes out
#
# Repeatable with podman and buildah by --timestamp, with docker by BuildKit's rewrite-timestamp (BuildKit 0.13 or newer).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../local/lib/common.sh
source "$here/../local/lib/common.sh"
TARGET=${TARGET:-onda}

# default_engine: the first that is installed.
default_engine() {
  local name
  for name in docker podman buildah; do
    if command -v "$name" >/dev/null; then
      printf '%s' "$name"
      return
    fi
  done
  die "none of docker, podman and buildah is installed: one of them has to build the image (Debian and Ubuntu: apt-get install podman)"
}

# from_git WHAT ARGUMENTS...: what git says of this checkout.
from_git() {
  local what=$1
  shift
  git -C "$ROOT" "$@" 2>/dev/null || die "git does not know this folder: give $what"
}

# build_arguments: BUILD_ARGUMENTS become those of every engine. The pins come first, so that the caller's go before them.
build_arguments() {
  local pins=$here/bases.env name value
  BUILD_ARGUMENTS=(--target "$TARGET" --build-arg "VERSION=$VERSION")
  if [[ ! -f $pins ]]; then
    say "warning: the base images are not pinned, so a later build may differ: deploy/container/pin.sh pins them"
    return
  fi
  while IFS='=' read -r name value; do
    [[ $name == *_IMAGE ]] || continue
    BUILD_ARGUMENTS+=(--build-arg "$name=$value")
  done <"$pins"
}

# build ARGUMENTS...: with the options that make each engine forget the time of day.
build() {
  case $KIND in
    docker)
      "${ENGINE[@]}" buildx build --provenance=false --sbom=false --build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH" \
        --output "type=docker,name=$IMAGE,rewrite-timestamp=true" "${BUILD_ARGUMENTS[@]}" "$@" "$ROOT"
      ;;
    podman | buildah)
      "${ENGINE[@]}" build --layers --timestamp "$SOURCE_DATE_EPOCH" --tag "$IMAGE" "${BUILD_ARGUMENTS[@]}" "$@" "$ROOT"
      ;;
  esac
}

# archive FILE: the image as one file that syft reads; prints syft's name for its kind.
archive() {
  case $KIND in
    docker) "${ENGINE[@]}" save --output "$1" "$IMAGE" && printf docker-archive ;;
    podman) "${ENGINE[@]}" save --quiet --format oci-archive --output "$1" "$IMAGE" >/dev/null && printf oci-archive ;;
    buildah) "${ENGINE[@]}" push --quiet "$IMAGE" "oci-archive:$1" >/dev/null && printf oci-archive ;;
  esac
}

# describe: size in bytes and digest, as the engine has them. Buildah's own size is rounded to MB: this is that of its layers,
# which it keeps unpacked.
describe() {
  case $KIND in
    docker) "${ENGINE[@]}" image inspect --format '{{.Size}} {{.Id}}' "$IMAGE" ;;
    podman) "${ENGINE[@]}" image inspect --format '{{.Size}} {{.Digest}}' "$IMAGE" ;;
    buildah)
      printf '%s %s' "$("${ENGINE[@]}" inspect --type image --format '{{.Manifest}}' "$IMAGE" | tr -d '\n' |
        sed 's/.*"layers"//' | grep -o -E '"size": *[0-9]+' | awk -F : '{ sum += $NF } END { printf "%d", sum }')" \
        "$("${ENGINE[@]}" inspect --type image --format '{{.FromImageDigest}}' "$IMAGE")"
      ;;
  esac
}

case $TARGET in
  onda | onda-without-models | onda-cuda) ;;
  *) die "TARGET=$TARGET is none of the images: onda, onda-without-models or onda-cuda" ;;
esac
read -r -a ENGINE <<<"${ENGINE:-$(default_engine)}"
KIND=$(basename "${ENGINE[0]}")
[[ $KIND == docker || $KIND == podman || $KIND == buildah ]] || die "ENGINE=$KIND is none of docker, podman and buildah"
VERSION=${VERSION:-$(from_git VERSION describe --tags --always --dirty)}
VERSION=${VERSION#v}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(from_git SOURCE_DATE_EPOCH log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
IMAGE=${IMAGE:-$TARGET}
[[ ${IMAGE##*/} == *:* ]] || IMAGE=$IMAGE:$VERSION
OUT=${OUT:-$LOCAL/image}

build_arguments
build "$@"
mkdir -p "$OUT"
OUT=$(cd "$OUT" && pwd)
scratch=$(mktemp -d "$OUT/archive.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
packed=$scratch/$TARGET.tar
kind=$(archive "$packed") || die "$KIND cannot save $IMAGE"
read -r size digest < <(describe; echo)
[[ ${LIST:-1} == 0 ]] || "$here/sbom.sh" "$kind:$packed" "$TARGET" "$digest" "$OUT/$TARGET-$VERSION.spdx.json"
say "$IMAGE: $size bytes unpacked, $(wc -c <"$packed") bytes packed, digest $digest"
