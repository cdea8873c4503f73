#!/usr/bin/env bash
# Ends what `make run` started, from another terminal.
set -euo pipefail

# shellcheck source=lib/common.sh
source "$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/lib/common.sh"

pid_file=$LOCAL/run/pid
if [[ ! -f $pid_file ]] || ! is_run "$(<"$pid_file")"; then
  rm -f "$pid_file"
  say "Onda does not run here"
  exit 0
fi
kill -TERM "$(<"$pid_file")"
for ((tries = 0; tries < 100; tries++)); do
  if [[ ! -f $pid_file ]]; then
    say "Onda has stopped"
    exit 0
  fi
  sleep 0.1
done
die "Onda did not stop within 10 seconds: its process is $(<"$pid_file")"
