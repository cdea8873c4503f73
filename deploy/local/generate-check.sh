#!/usr/bin/env bash
# Makes the generated files again and fails if any file changed. It compares with the working tree, not with the last
# commit, so that it can be used before a commit too.
set -euo pipefail

# shellcheck source=lib/common.sh
source "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/lib/common.sh"
cd "$ROOT"

# state: every file that git knows or would add, with its content. A file that was deleted and not committed yet is none.
state() { git ls-files -co --exclude-standard -z | { xargs -0 cksum 2>/dev/null || true; } | sort -k 3; }

before=$(state)
make generate
changed=$({ diff <(printf '%s\n' "$before") <(state) || true; } | sed -n -E 's/^[<>] [0-9]+ [0-9]+ //p' | sort -u)
[[ -z $changed ]] || die "generated files were out of date; make generate has renewed them, commit them: ${changed//$'\n'/ }"
say "generated files are up to date"
