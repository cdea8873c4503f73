#!/usr/bin/env bash
# Puts together, inside the build of the GPU image, what ONNX Runtime needs to run on a GPU. x86-64 alone.
#
#   cuda.sh fetch OUT          the libraries of cuda.txt into OUT/lib, their licences into OUT/licences; needs Python's pip
#   cuda.sh check OUT ROOT     fails where a library in OUT/lib needs one that is neither there nor below ROOT; needs readelf
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly HERE
# Given to the container by the GPU's driver, which has to fit the machine: no image may carry it.
readonly FROM_DRIVER=libcuda.so.1
# Opened by name at run time, so that no header tells of them.
readonly OPENED_BY_NAME='libcudnn.so.9 libnvrtc.so.13 libonnxruntime_providers_shared.so libonnxruntime_providers_cuda.so'

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# check_version: the binding is made for one version of ONNX Runtime, that of the CPU library.
check_version() {
  local want have
  want=$(sed -n 's/^ONNXRUNTIME_VERSION=//p' "$HERE/../local/versions.env")
  have=$(sed -n -E 's/^onnxruntime-gpu==([^ ]+).*/\1/p' "$HERE/cuda.txt")
  [[ -n $want && $have == "$want" ]] || die "cuda.txt has onnxruntime-gpu $have, but versions.env ONNX Runtime $want: pin the same"
}

# fetch OUT: the platform is named, so that any Python's pip takes the wheel that was pinned.
fetch() {
  local out=$1 wheels=$1/wheels
  check_version
  mkdir -p "$out/lib" "$out/licences"
  python3 -m pip install --disable-pip-version-check --no-input --no-cache-dir --no-compile --no-deps --require-hashes \
    --only-binary :all: --implementation cp --python-version 3.13 --platform manylinux_2_28_x86_64 \
    --platform manylinux_2_27_x86_64 --platform manylinux2014_x86_64 --platform manylinux2010_x86_64 \
    --target "$wheels" -r "$HERE/cuda.txt"
  # Moved, not copied: together they are gigabytes. Without the provider for TensorRT, which Onda does not use.
  find "$wheels/nvidia" -path '*/lib/*' -name 'lib*.so*' ! -name 'libnvblas.so*' -exec mv -t "$out/lib" {} +
  mv "$wheels"/onnxruntime/capi/libonnxruntime_providers_{shared,cuda}.so "$out/lib/"
  mv "$wheels"/onnxruntime/capi/libonnxruntime.so.* "$out/lib/libonnxruntime.so"
  licences "$wheels" "$out/licences"
  chmod -R a+rX "$out"
  chmod 0644 "$out"/lib/*
  rm -rf "$wheels"
}

# licences WHEELS OUT: of each package, under its name.
licences() {
  local info name file
  for info in "$1"/*.dist-info; do
    name=$(basename "$info" .dist-info)
    mkdir -p "$2/${name%-*}"
    while IFS= read -r file; do cp "$file" "$2/${name%-*}/"; done < <(find "$info" -iname 'licen[cs]e*' -type f)
  done
  mkdir -p "$2/onnxruntime_gpu"
  find "$1/onnxruntime" -maxdepth 1 \( -name 'LICENSE*' -o -name 'ThirdPartyNotices*' \) -exec cp -t "$2/onnxruntime_gpu" {} +
}

# check OUT ROOT
check() {
  local out=$1 root=$2 library needed there missing=0
  for needed in $OPENED_BY_NAME; do
    [[ -f $out/lib/$needed ]] || die "$needed is not in the image, and ONNX Runtime opens it by name"
  done
  # Once, as the list is asked a hundred times.
  there=$(find "$out/lib" "$root" -xdev -name '*.so*' -printf '%f\n')
  while read -r library needed; do
    [[ $needed != "$FROM_DRIVER" ]] || continue
    if ! grep -q -x -F -- "$needed" <<<"$there"; then
      printf 'error: %s needs %s, which is not in the image\n' "$library" "$needed" >&2
      missing=1
    fi
  done < <(needs "$out")
  ((missing == 0)) || exit 1
  printf 'libraries: %d, each with what it needs but %s, which the driver gives\n' \
    "$(find "$out/lib" -type f | wc -l)" "$FROM_DRIVER"
}

# needs OUT: a line for each library and one that it needs.
needs() {
  local library
  for library in "$1"/lib/*; do
    readelf -d "$library" | sed -n -E "s|.*\(NEEDED\).*\[(.*)\]|$(basename "$library") \1|p"
  done
}

case ${1:-} in
  fetch) (($# == 2)) || die "usage: cuda.sh fetch OUT" ;;
  check) (($# == 3)) || die "usage: cuda.sh check OUT ROOT" ;;
  *) die "usage: cuda.sh fetch OUT | check OUT ROOT" ;;
esac
"$@"
