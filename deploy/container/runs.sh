# What deploy/container/test.sh does with a container: it starts one with runc as a careful user would, asks it, and looks
# at what the kernel says of it. Set by the caller: ROOT, WORK, and the functions die, say, engine and root_of. Set here: LOG,
# PID and RUNC, of the container that runs.
# shellcheck shell=bash
# shellcheck disable=SC2153,SC2154 # the caller sets them

readonly UID_IN_IMAGE=65532 SCORING=http://127.0.0.1:8080 MODEL=image-classification

# edit NAME FILTER [ARGUMENTS...]: changes the bundle's configuration.
edit() {
  local config=$WORK/bundles/$1/config.json filter=$2
  shift 2
  jq "$filter" --args "$@" <"$config" >"$config.new"
  mv "$config.new" "$config"
}

# bundle NAME IMAGE: what runc needs to run the image as a careful user would: its own command, user and settings, no
# network but a loopback of its own, no capability, nothing that can be written but /tmp, where models that are fetched lie.
bundle() {
  local dir=$WORK/bundles/$1
  mkdir -p "$dir"
  rm -f "$dir/config.json"
  runc spec --bundle "$dir"
  # shellcheck disable=SC2016 # they are jq's
  edit "$1" '($ARGS.positional[0] | fromjson) as $image | ($image.User | split(":") | map(tonumber)) as [$uid, $gid] |
    .root = {path: $ARGS.positional[1], readonly: true} |
    .process.args = $image.Entrypoint + $image.Cmd | .process.env = $image.Env | .process.cwd = $image.WorkingDir |
    .process.user = {uid: $uid, gid: $gid} | .process.terminal = false | .process.noNewPrivileges = true |
    .process.capabilities = {} | del(.process.rlimits) |
    .mounts += [{destination: "/tmp", type: "tmpfs", source: "tmpfs", options: ["nosuid", "nodev", "noexec", "mode=1777", "size=16m"]}]' \
    "$(engine inspect --type image "localhost/$2" | jq --compact-output .OCIv1.config)" "$(root_of "$2")"
}

# container ARGUMENTS...: runc, which sets up containers where podman cannot: it needs fewer rights itself.
container() { runc --root "$WORK/runc" "$@"; }

# run NAME: starts the bundle. PID becomes that of the program on this machine.
run() {
  local _
  LOG=$WORK/$1.log
  container run --bundle "$WORK/bundles/$1" "$1" >"$LOG" 2>&1 </dev/null &
  RUNC=$!
  for _ in {1..150}; do
    PID=$(container state "$1" 2>/dev/null | jq .pid) || true
    if [[ -n $PID ]] && inside --fail "$SCORING/v2/health/ready" >/dev/null; then return; fi
    if ! kill -0 "$RUNC" 2>/dev/null; then break; fi
    sleep 0.2
  done
  cat "$LOG" >&2
  die "$1 did not start, or was not ready in 30 s: see above"
}

# inside ARGUMENTS...: this machine's curl, in the network of the container.
inside() { nsenter --target "$PID" --net curl --silent --show-error --max-time 30 "$@" 2>/dev/null; }

# score: every golden picture of the model, against the scores that stand beside them.
score() {
  local folder=$ROOT/models/$MODEL/1 golden count i file answer
  golden=$folder/golden.json
  count=$(jq '.cases | length' "$golden")
  for ((i = 0; i < count; i++)); do
    file=$(jq -r ".cases[$i].instance.file" "$golden")
    answer=$(inside --header 'content-type: image/png' --data-binary "@$folder/$file" "$SCORING/v1/models/$MODEL:predict") ||
      die "$file got no answer"
    jq --exit-status --slurpfile golden "$golden" "\$golden[0] as \$g | \$g.cases[$i].classes[0] as \$want |
      .predictions[0].classes[0] | .index == \$want.index and (.score - \$want.score | fabs) <= \$g.tolerance" <<<"$answer" >/dev/null ||
      die "$file got another answer than golden.json has: $answer"
  done
  say "  scored $count golden pictures as golden.json has them, the last: $(jq --compact-output '.predictions[0].classes[0]' <<<"$answer")"
}

# check_process: what the kernel says of the running program.
check_process() {
  local user caps root
  user=$(stat -c %u "/proc/$PID")
  caps=$(sed -n 's/^CapEff:\s*//p' "/proc/$PID/status")
  root=$(awk '$5 == "/" { print $6 }' "/proc/$PID/mountinfo")
  [[ $user == "$UID_IN_IMAGE" ]] || die "it runs as user $user, not $UID_IN_IMAGE"
  [[ $caps =~ ^0+$ ]] || die "it has capabilities: $caps"
  [[ $root == ro,* ]] || die "its root file system is not read-only: $root"
  say "  runs as user $user, without capabilities or network, on a root mounted ${root%%,*}"
  # The second loopback address stands for the pod's: it is none that a listener on 127.0.0.1 has.
  inside --fail http://127.0.0.2:8080/healthz >/dev/null || die "it listens on one address only"
  inside --fail http://127.0.0.2:9464/metrics | grep -q '^onda_' || die "the metrics do not answer"
  say "  answers on every address: /healthz on 8080, /metrics on 9464"
}

# cold_start NAME: from the start of the process, as the kernel has it, to the first answer to a picture, asked for every
# 5 ms. Starting the container itself is not in it.
cold_start() {
  local picture now began ticks
  picture=$ROOT/models/$MODEL/1/$(jq -r '.cases[0].instance.file' "$ROOT/models/$MODEL/1/golden.json")
  container delete --force "$1" >/dev/null 2>&1 || true
  LOG=$WORK/$1.log
  container run --bundle "$WORK/bundles/$1" "$1" >"$LOG" 2>&1 </dev/null &
  RUNC=$!
  PID=''
  while kill -0 "$RUNC" 2>/dev/null; do
    if [[ -z $PID ]]; then PID=$(container state "$1" 2>/dev/null | jq 'select(.status == "running") | .pid') || true; fi
    if [[ -n $PID ]] && inside --fail --output /dev/null --header 'content-type: image/png' --data-binary "@$picture" \
      "$SCORING/v1/models/$MODEL:predict"; then
      now=$(cut -d ' ' -f 1 /proc/uptime)
      # The 22nd field of stat, in ticks since the machine started; the name before it may have blanks.
      began=$(sed 's/.*) //' "/proc/$PID/stat" | cut -d ' ' -f 20)
      ticks=$(getconf CLK_TCK)
      say "  cold start: $(awk -v now="$now" -v began="$began" -v ticks="$ticks" 'BEGIN { printf "%.0f", (now - began / ticks) * 1000 }') ms from the start of the process to the first scored picture"
      return
    fi
    sleep 0.005
  done
  cat "$LOG" >&2
  die "$1 ended before it scored: see above"
}

# stop NAME: SIGTERM to process 1 of the container, as Kubernetes does.
stop() {
  local began=$SECONDS code=0
  container kill "$1" TERM
  wait "$RUNC" || code=$?
  ((code == 0)) || die "$1 ended with $code after SIGTERM: $(tail -n 5 "$LOG")"
  say "  ended with 0 within $((SECONDS - began + 1)) s of SIGTERM"
}

# check_files IMAGE: what is in it: one program, no shell, and of the models their numbered folders.
check_files() {
  local root programs foreign models licences
  root=$(root_of "$1")
  programs=$(find "$root" -xdev -type f -perm /111 ! -name '*.so*' -printf '/%P\n')
  [[ $programs == /usr/local/bin/onda ]] || die "there are other programs in $1 than onda: $programs"
  foreign=$(find "$root" -xdev \( -name sh -o -name bash -o -name dash -o -name busybox -o -name apt -o -name dpkg \) ! -type d)
  [[ -z $foreign ]] || die "there is a shell or a package manager in $1: $foreign"
  foreign=$(find "$root/models" -mindepth 2 -maxdepth 2 ! -name '[0-9]*' -printf '%P ')
  [[ -z $foreign ]] || die "there is more in /models than models: $foreign"
  foreign=$(find "$root/models" "$root/usr/local" ! -perm -o=r -printf '/%P ')
  [[ -z $foreign ]] || die "not readable by the image's user: $foreign"
  models=$(find "$root/models" -mindepth 2 -maxdepth 2 -printf ' %P')
  licences=$(find "$root/usr/local/share/licences" -name 'LICENSE*' | wc -l)
  say "  one program (/usr/local/bin/onda), no shell; models:${models:- none}; licences: $licences"
}

