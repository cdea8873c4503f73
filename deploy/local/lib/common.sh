# Shared by the scripts of deploy/local: places, messages, checksums, and one way to run a slow command.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
# Everything that is fetched, built or logged goes in here. ONDA_LOCAL_DIR lets the tests use a folder of their own.
LOCAL=${ONDA_LOCAL_DIR:-$ROOT/.local}
LOGS=$LOCAL/log
readonly ROOT LOCAL LOGS

# shellcheck source=../versions.env
source "$ROOT/deploy/local/versions.env"

say() { printf '%s\n' "$*" >&2; }

# die MESSAGE: the one clear line that ends a set-up.
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# short PATH: PATH as the user would type it from the repository.
short() { printf '%s' "${1#"$ROOT"/}"; }

# checksum 256|512 FILE: macOS has shasum, Linux has shaNNNsum.
checksum() {
  if command -v "sha${1}sum" >/dev/null; then
    "sha${1}sum" "$2"
  else
    shasum -a "$1" "$2"
  fi | cut -d ' ' -f 1
}

# at_least HAVE WANT: compares versions number by number (sort -V is not on macOS).
at_least() {
  local have want i
  IFS=. read -r -a have <<<"$1"
  IFS=. read -r -a want <<<"$2"
  for i in 0 1 2; do
    local h=${have[i]:-0} w=${want[i]:-0}
    h=${h%%[!0-9]*} w=${w%%[!0-9]*}
    ((10#${h:-0} == 10#${w:-0})) || { ((10#${h:-0} > 10#${w:-0})); return; }
  done
}

# is_run PID: whether the process is the run.sh of this folder. A number alone proves nothing: after a crash it can be
# another program's, and a copied folder brings the other one's number along.
is_run() {
  kill -0 "$1" 2>/dev/null || return
  if [[ -d /proc/$1 ]]; then
    tr '\0' ' ' <"/proc/$1/cmdline" | grep -q 'deploy/local/run\.sh' && [[ $(readlink "/proc/$1/cwd") == "$ROOT" ]]
  else
    ps -p "$1" -o command= | grep -q 'deploy/local/run\.sh'
  fi
}

# make_scratch: SCRATCH becomes this process's own folder inside LOCAL, so that moving a finished item to its place is a
# rename. Folders of set-ups that were killed are removed here.
make_scratch() {
  local dir
  for dir in "$LOCAL"/tmp/*; do
    kill -0 "${dir##*.}" 2>/dev/null || rm -rf "$dir"
  done
  SCRATCH=$LOCAL/tmp/setup.$$
  mkdir -p "$SCRATCH" "$LOGS" "$LOCAL/state"
}

# in_dir DIR COMMAND...: for `slowly`; exec, so that the process it can stop is the command itself.
in_dir() {
  cd "$1" || return
  shift
  exec "$@"
}

# install_dir FROM TO: puts a finished folder in its place. What stood there is moved aside first, because a rename does
# not replace a folder that is not empty.
install_dir() {
  mkdir -p "$(dirname "$2")"
  if [[ -e $2 ]]; then mv "$2" "$SCRATCH/old.$(basename "$2")"; fi
  mv "$1" "$2"
  rm -rf "$SCRATCH"/old.*
}

CHILD=''

# stop_child: ends the slow command that runs now. Go tidies up on SIGINT only; other programs started in the background
# ignore it.
stop_child() {
  [[ -n $CHILD ]] || return 0
  kill -INT "$CHILD" 2>/dev/null || return 0
  sleep 0.5
  kill -TERM "$CHILD" 2>/dev/null || true
}

# on_exit: a set-up that ends, for whatever reason, leaves neither a process nor a scratch folder.
on_exit() {
  stop_child
  if [[ -n ${SCRATCH:-} ]]; then rm -rf "$SCRATCH"; fi
}

# progress COMMAND LOG: what a Go build has done so far, read from its log; nothing for other commands.
progress() {
  local fetched compiled
  [[ $1 == in_dir ]] || return 0
  fetched=$(grep -c '^go: downloading' "$2" || true)
  compiled=$(grep -c -E '^[a-z0-9.-]+(/[^ ]*)?$' "$2" || true)
  ((fetched == 0)) || printf ', modules fetched: %d' "$fetched"
  ((compiled == 0)) || printf ', packages compiled: %d' "$compiled"
}

# slowly LABEL LOG COMMAND...: runs COMMAND with its output in LOG, and shows that it moves: a line that rewrites itself
# on a terminal, and a new line every 20 seconds elsewhere.
slowly() {
  local label=$1 log=$2 began=$SECONDS shown=$SECONDS status=0
  shift 2
  "$@" >"$log" 2>&1 </dev/null &
  CHILD=$!
  while kill -0 "$CHILD" 2>/dev/null; do
    sleep 0.2
    ((SECONDS > shown)) || continue
    if [[ -t 2 ]]; then
      printf '\r\033[K  %s: %d s%s' "$label" $((SECONDS - began)) "$(progress "$1" "$log")" >&2
      shown=$SECONDS
    elif ((SECONDS - shown >= 20)); then
      say "  $label: $((SECONDS - began)) s$(progress "$1" "$log")"
      shown=$SECONDS
    fi
  done
  wait "$CHILD" || status=$?
  CHILD=''
  if [[ -t 2 ]]; then printf '\r\033[K' >&2; fi
  if ((status == 0)); then say "  $label: done in $((SECONDS - began)) s"; fi
  return "$status"
}
