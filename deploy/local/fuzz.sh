#!/usr/bin/env bash
# Runs every fuzz target for a bounded time; Go itself runs only one target at a time.
#
#   deploy/local/fuzz.sh 20s
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."

count=0
while IFS=: read -r file target; do
  printf '%s in %s\n' "$target" "$(dirname "$file")"
  go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:?how long, as in 20s}" "./$(dirname "$file")"
  count=$((count + 1))
done < <(grep -r -o -E --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' app tests | sed 's/func //')
printf '%d fuzz targets ran for %s each\n' "$count" "$1"
