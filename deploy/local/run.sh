#!/usr/bin/env bash
# Runs Onda and its portal behind their sidecars, says when they are ready and where to look, and leaves nothing behind.
# What is missing is set up first; what would stop it in the end (a port in use) is told before that.
#
#   deploy/local/run.sh               ports: ONDA_PORT=8081 deploy/local/run.sh, names in lib/ports.sh
#                                     settings: ONDA_REGISTRY_CHANGES=token deploy/local/run.sh goes before dapr.yaml
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lib/common.sh
source "$here/lib/common.sh"
# shellcheck source=lib/onnxruntime.sh
source "$here/lib/onnxruntime.sh"
# shellcheck source=lib/gotools.sh
source "$here/lib/gotools.sh"
# shellcheck source=lib/ports.sh
source "$here/lib/ports.sh"
# shellcheck source=lib/logs.sh
source "$here/lib/logs.sh"

# How long the first answer may take: a large model on a slow disk.
readonly READY_WITHIN=60
readonly PID_FILE=$LOCAL/run/pid
GROUP=''
GUARD=''

# stop_all: dapr ends what it started when it is asked to; whatever is left of its process group is ended after it. The
# group is there even if dapr itself was killed.
stop_all() {
  trap '' INT TERM HUP
  [[ -n $GROUP ]] || return 0
  local tries
  kill -TERM "$GROUP" 2>/dev/null || true
  for ((tries = 0; tries < 50; tries++)); do
    kill -0 "$GROUP" 2>/dev/null || break
    sleep 0.1
  done
  kill -KILL -- "-$GROUP" 2>/dev/null || true
  # A killed process still holds its ports for a moment: the next run must not meet them.
  for ((tries = 0; tries < 50; tries++)); do
    kill -0 -- "-$GROUP" 2>/dev/null || break
    sleep 0.1
  done
  kill -TERM "$GUARD" 2>/dev/null || true
  rm -f "$PID_FILE"
}

# fail MESSAGE: stops everything first, so that the line that matters is the last one.
fail() {
  stop_all
  GROUP=''
  die "$@"
}

# refuse_second: two at once would only fight for the ports.
refuse_second() {
  local pid
  [[ -f $PID_FILE ]] || return 0
  pid=$(<"$PID_FILE")
  is_run "$pid" || return 0
  die "Onda runs here already (process $pid): stop it with Ctrl-C where it runs, or with make stop"
}

# check_settings: a wrong one is told before anything is started, and not in the middle of four programs' lines.
check_settings() {
  local wrong name
  wrong=$(
    while read -r name _; do unset "$name"; done <<<"$PORTS"
    cd "$ROOT" && "$LOCAL/bin/onda" config 2>&1 >/dev/null
  ) || die "${wrong#onda: }"
}

# start: dapr gets a process group of its own, so that Ctrl-C reaches this script alone, which then ends all in order.
start() {
  local file
  file=$(run_file)
  # Onda would take the names of ports for settings of its own, and DAPR_RUNTIME_PATH is about to change.
  local name
  while read -r name _; do export -n "${name?}"; done <<<"$PORTS"
  export LOOPBACK_DAPRD=$DAPRD DAPR_RUNTIME_PATH=$here/loopback
  ONDA_ONNXRUNTIME_LIBRARY=${ONDA_ONNXRUNTIME_LIBRARY:-$(onnxruntime_library)}
  export ONDA_ONNXRUNTIME_LIBRARY
  mkdir -p "$LOCAL/run"
  cd "$ROOT"
  # dapr writes four new logs a run and removes none.
  if [[ -d .dapr/logs ]]; then find .dapr/logs -name '*.log' -mtime +7 -exec rm -f {} +; fi
  set -m
  "$DAPR_CLI" run -f "$file" </dev/null &
  GROUP=$!
  set +m
  printf '%s\n' $$ >"$PID_FILE"
  guard &
  GUARD=$!
}

# guard: ends everything even when this script is killed and cannot do it.
guard() {
  trap '' INT HUP
  trap 'exit 0' TERM
  while kill -0 $$ 2>/dev/null; do sleep 1; done
  kill -KILL -- "-$GROUP" 2>/dev/null || true
  rm -f "$PID_FILE"
}

# http_status PORT PATH: the status code, without any other program; nothing where no one answers.
http_status() {
  (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit
    printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1:%s\r\n\r\n' "$2" "$1" >&3
    read -r -t 2 _ status _ <&3 && printf '%s' "$status"
  ) 2>/dev/null || true
}

ready() {
  [[ $(http_status "$(port DAPR_HTTP_PORT)" /v1.0/invoke/onda/method/v2/health/ready) == 200 ]] &&
    [[ $(http_status "$(port PORTAL_PORT)" /healthz) == 200 ]]
}

# wait_until_ready: fails with one line when a part has ended, or when the time is over.
wait_until_ready() {
  local dead started=$SECONDS
  while ! ready; do
    kill -0 "$GROUP" 2>/dev/null || fail "dapr ended before Onda was ready: see its lines above; logs: .dapr/logs"
    dead=$(dead_part)
    [[ -z $dead ]] || fail "${dead/ ended/ ended while starting}"
    ((SECONDS - started < READY_WITHIN)) || fail "Onda was not ready after $READY_WITHIN seconds: see $(short "$(newest_log onda app)") and $(short "$(newest_log onda daprd)")"
    sleep 0.1
  done
}

where_to_look() {
  local dapr
  dapr=http://localhost:$(port DAPR_HTTP_PORT)/v1.0/invoke/onda/method/v1/models
  cat >&2 <<EOF

Onda is ready ($SECONDS s). Open the portal:   http://localhost:$(port PORTAL_PORT)
Or call it through its sidecar, as any app does:

  curl -s -H 'content-type: text/plain' -d 'How do I copy an object?' $dapr/faq-matching:predict
  curl -s -H 'content-type: image/png' --data-binary @models/image-classification/1/golden-1.png $dapr/image-classification:predict

Models: http://localhost:$(port ONDA_PORT)/v1/models   metrics: http://localhost:$(port ONDA_METRICS_PORT)/metrics   logs: .dapr/logs
Stop with Ctrl-C, or make stop.

EOF
}

refuse_second
check_ports
"$here/setup.sh" run app
choose_dapr
check_settings
trap stop_all EXIT
trap 'say "stopping"; exit 0' INT TERM HUP
start
wait_until_ready
where_to_look
# wanted: make, which waits for this, and the terminal are still there. make keeps a hang-up to itself.
if [[ -t 2 ]]; then
  wanted() { kill -0 "$PPID" 2>/dev/null && [[ -t 2 ]]; }
else
  wanted() { kill -0 "$PPID" 2>/dev/null; }
fi
# dapr restarts nothing and goes on when a program has ended; an orchestrator does better.
for ((tick = 0; ; tick++)); do
  if ! kill -0 "$GROUP" 2>/dev/null || ! wanted; then break; fi
  if ((tick % 4 == 3)); then
    dead=$(dead_part)
    [[ -z $dead ]] || fail "$dead. Nothing restarts it here: run make run again"
  fi
  sleep 0.5
done
kill -0 "$GROUP" 2>/dev/null && exit
wait "$GROUP" 2>/dev/null || fail "dapr ended (status $?): see its lines above; logs: .dapr/logs"
