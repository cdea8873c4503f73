#!/usr/bin/env bash
# Pins the Dockerfile's base images: asks the registries which digests their tags have now and writes these into
# deploy/container/bases.env, which deploy/container/build.sh reads. Needs docker with buildx, skopeo or crane, and network.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# digest IMAGE: that of the list of all platforms, so that one pin serves them all.
digest() {
  if command -v crane >/dev/null; then
    crane digest "$1"
  elif command -v skopeo >/dev/null; then
    # Of the list as it is: its inspect would choose this machine's platform.
    printf 'sha256:%s' "$(skopeo inspect --raw "docker://$1" | sha256sum | cut -d ' ' -f 1)"
  elif docker buildx version >/dev/null 2>&1; then
    docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$1"
  else
    die "none of docker with buildx, skopeo and crane is installed: one of them has to ask the registries"
  fi
}

new=$(mktemp "$here/bases.env.XXXXXX")
trap 'rm -f "$new"' EXIT
printf '# The base images of the Dockerfile, as deploy/container/pin.sh found them on %s.\n' "$(date -u +%F)" >"$new"
while read -r name image; do
  found=$(digest "$image") || die "the registry of $image does not answer: nothing was changed"
  [[ $found =~ ^sha256:[0-9a-f]{64}$ ]] || die "the registry of $image gave no digest ($found): nothing was changed"
  printf '%s=%s@%s\n' "$name" "$image" "$found" | tee -a "$new"
done < <(sed -n -E 's/^ARG ([A-Z]+_IMAGE)=(.+)$/\1 \2/p' "$here/../../Dockerfile")
chmod 0644 "$new"
mv "$new" "$here/bases.env"
