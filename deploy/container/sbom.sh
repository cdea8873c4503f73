#!/usr/bin/env bash
# Lists what is in an image as SPDX JSON: what syft finds, and the libraries that it cannot know, as they come without a
# package manager's notes.
#
#   deploy/container/sbom.sh oci-archive:FILE TARGET DIGEST OUT
#
# TARGET is the Dockerfile's, DIGEST that of the image. SOURCE_DATE_EPOCH, in seconds, becomes the list's time.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=../local/lib/common.sh
source "$here/../local/lib/common.sh"
# shellcheck source=../local/lib/gotools.sh
source "$here/../local/lib/gotools.sh"
# shellcheck source=../local/lib/onnxruntime.sh
source "$here/../local/lib/onnxruntime.sh"

ensure_syft() {
  local version
  version=$(pinned tools/image github.com/anchore/syft)
  ensure_tool syft "$version" tools/image "$(stamp_of tools/image "$version")" "the first time about 5 minutes on 2 cores" \
    -ldflags "-s -w -X main.version=$version" github.com/anchore/syft/cmd/syft
}

# libraries TARGET: a line for each that syft does not find: name, version, licence, kind and name of the package that it
# comes from, SHA-256 of what is pinned.
libraries() {
  if [[ $1 != onda-cuda ]]; then
    printf 'onnxruntime %s MIT npm onnxruntime-node %s\n' "$ONNXRUNTIME_VERSION" "$(onnxruntime_sha256)"
    return
  fi
  # Each pin of cuda.txt is two lines.
  sed -n -E '/^[a-z]/{N; s/^([a-z0-9-]+)==([^ ]+) .*sha256:([0-9a-f]{64})/\1 \2 \3/p}' "$here/cuda.txt" |
    while read -r name version sum; do
      case $name in
        onnxruntime-gpu) printf 'onnxruntime %s MIT pypi %s %s\n' "$version" "$name" "$sum" ;;
        *) printf '%s %s NOASSERTION pypi %s %s\n' "$name" "$version" "$name" "$sum" ;;
      esac
    done
}

# merge FOUND LIBRARIES DIGEST: adds the libraries to what syft found. Time and name of the list come from what was built, so
# that the same image has the same list.
merge() {
  # shellcheck disable=SC2016 # they are jq's
  jq --rawfile libraries "$2" --arg digest "$3" --argjson epoch "$SOURCE_DATE_EPOCH" '
    (.relationships[] | select(.relationshipType == "DESCRIBES") | .relatedSpdxElement) as $image |
    ($libraries | split("\n") | map(select(. != "") | split(" "))) as $rows |
    .creationInfo.created = ($epoch | todate) |
    .documentNamespace = "https://github.com/onda-serving/onda/spdx/\($digest)" |
    .packages += [$rows[] | {
      name: .[0], SPDXID: "SPDXRef-Package-library-\(.[4])", versionInfo: .[1],
      supplier: "NOASSERTION", downloadLocation: "NOASSERTION", filesAnalyzed: false,
      licenseConcluded: "NOASSERTION", licenseDeclared: .[2], copyrightText: "NOASSERTION",
      checksums: [{algorithm: "SHA256", checksumValue: .[5]}],
      externalRefs: [{referenceCategory: "PACKAGE-MANAGER", referenceType: "purl",
        referenceLocator: "pkg:\(.[3])/\(.[4])@\(.[1])"}]}] |
    .relationships += [$rows[] | {spdxElementId: $image, relationshipType: "CONTAINS",
      relatedSpdxElement: "SPDXRef-Package-library-\(.[4])"}]' "$1"
}

(($# == 4)) || die "usage: deploy/container/sbom.sh oci-archive:FILE TARGET DIGEST OUT"
command -v jq >/dev/null || die "jq is missing: it puts the list of what is in the image together (Debian and Ubuntu: apt-get install jq)"
[[ -n ${SOURCE_DATE_EPOCH:-} ]] || die "SOURCE_DATE_EPOCH is missing: the time of what was built, in seconds"
trap on_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
make_scratch
ensure_syft
# Nothing is asked of the network: neither whether there is a newer syft nor what a module's licence is.
# From the archive's folder, because the path given stands in the list.
(cd "$(dirname "${1#*:}")" &&
  SYFT_CHECK_FOR_APP_UPDATE=false exec "$LOCAL/tools/bin/syft" scan "${1%%:*}:$(basename "$1")" --source-name "$2" --quiet -o "spdx-json=$SCRATCH/found.json") 2>"$LOGS/syft.log" ||
  die "syft cannot read the image: $(tail -n 1 "$LOGS/syft.log"); log: $(short "$LOGS/syft.log")"
libraries "$2" >"$SCRATCH/libraries"
merge "$SCRATCH/found.json" "$SCRATCH/libraries" "$3" >"$SCRATCH/merged.json"
mv "$SCRATCH/merged.json" "$4"
say "$(short "$4"): $(jq '.packages | length' "$4") packages"
