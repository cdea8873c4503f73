#!/usr/bin/env bash
# Checks the shell scripts with shellcheck, where it is installed: it is no Go program, and no prerequisite.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if ! command -v shellcheck >/dev/null; then
  echo "shellcheck is not installed, so the shell scripts were not checked (Debian and Ubuntu: apt-get install shellcheck)"
  exit 0
fi
# Whatever git knows, or would add, that begins as a shell script does; and the parts, which have no first line of that kind.
git ls-files -co --exclude-standard -- '*.sh' .ci/run deploy/local/loopback |
  xargs shellcheck --external-sources --source-path SCRIPTDIR
