#!/usr/bin/env bash
# Builds the image and scores with it on a machine that reaches the Debian mirror, the Go module proxy and the npm registry
# but no image registry: stand-ins for the three public images are made out of Debian packages and this machine's Go and
# Node. As root, with podman, runc, debootstrap, nsenter, curl, jq, go, node and npm (Debian: apt-get install
# --no-install-recommends podman runc debootstrap util-linux curl jq).
#
#   deploy/container/test.sh
#
# ONDA_CONTAINER_DIR=DIR keeps the stand-ins and the layers in DIR, so that the next run is short; without it everything is
# removed at the end. DEBIAN_MIRROR chooses another mirror. The builds use this machine's caches of Go's modules and objects.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly ROOT
readonly SUITE=trixie VERSION=0.0.0-test
# The time of the files in the images: any will do, as long as all builds have the same.
readonly EPOCH=1795500000
# Of the image without models, unpacked.
readonly LIMIT_BYTES=120000000
readonly UID_IN_IMAGE=65532 SCORING=http://127.0.0.1:8080 MODEL=image-classification
MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
WORK=${ONDA_CONTAINER_DIR:-}

say() { printf '%s\n' "$*"; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# engine ARGUMENTS...: podman with a storage of its own, so that no image of this machine is seen or touched.
engine() {
  podman --root "$WORK/storage" --runroot "$WORK/run" "$@"
}

# shellcheck disable=SC2317 # called by the trap
clean_up() {
  local status=$?
  trap - EXIT
  local name
  for name in with-models without-models other-user; do
    container delete --force "$name" >/dev/null 2>&1 || true
  done
  if [[ -d $WORK/storage ]]; then
    engine image umount --all --force >/dev/null 2>&1 || true
    if mountpoint -q "$WORK/storage/overlay"; then umount "$WORK/storage/overlay" || true; fi
  fi
  if [[ -z ${ONDA_CONTAINER_DIR:-} ]]; then rm -rf --one-file-system "$WORK"; fi
  exit "$status"
}

check_machine() {
  local tool
  ((EUID == 0)) || die "run this as root: debootstrap and the containers need it"
  for tool in podman runc debootstrap nsenter curl jq go node npm; do
    command -v "$tool" >/dev/null || die "$tool is missing (see the top of this script)"
  done
}

# stand_in_builder: for the golang and the node image: Debian with a C compiler, and this machine's Go and Node.
stand_in_builder() {
  local root=$WORK/builder npm
  engine image exists localhost/stand-in/builder && return
  # What a run that was ended left.
  rm -rf --one-file-system "$root"
  debootstrap --variant=minbase --include=ca-certificates,gcc,libc6-dev,libstdc++6,netbase,tzdata \
    "$SUITE" "$root" "$MIRROR" >"$WORK/debootstrap.log" 2>&1 || die "debootstrap failed: $(tail -n 1 "$WORK/debootstrap.log")"
  cp -a "$(cd "$ROOT" && go env GOROOT)" "$root/usr/local/go"
  cp -L "$(command -v node)" "$root/usr/local/bin/node"
  npm=$(dirname "$(dirname "$(readlink -f "$(command -v npm)")")")
  mkdir -p "$root/usr/local/lib/node_modules"
  cp -a "$npm" "$root/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
  chroot "$root" npm --version >/dev/null || die "this machine's node and npm do not run in Debian $SUITE: install those of nodejs.org"
  # The builds trust whom this machine trusts: it may be behind a proxy with a certificate of its own.
  cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
  tar -C "$root" --exclude ./proc --exclude ./sys --exclude ./dev --exclude './var/cache/apt/archives/*.deb' -c . |
    engine import --quiet --change 'ENV PATH=/usr/local/go/bin:/usr/local/bin:/usr/bin:/bin' --change 'ENV GOTOOLCHAIN=local' \
      --change 'ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt' - localhost/stand-in/builder >/dev/null
}

# stand_in_base: for the distroless image: the files of its libraries, certificates and time zones, and a user.
stand_in_base() {
  local root=$WORK/base deb name
  engine image exists localhost/stand-in/base && return
  rm -rf --one-file-system "$root"
  mkdir -p "$root/etc/ssl/certs" "$root/home/nonroot" "$root/tmp" "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/usr/lib64"
  # As Debian has it since its usr-merge; the packages carry files of /usr alone.
  ln -s usr/bin usr/sbin usr/lib usr/lib64 "$root"
  for name in base-files netbase tzdata ca-certificates libc6 gcc-14-base libgcc-s1 libstdc++6; do
    for deb in "$WORK"/builder/var/cache/apt/archives/"${name}"_*.deb; do
      dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$root" --keep-directory-symlink --exclude './usr/share/doc/*/changelog*' \
        --exclude './usr/share/man' --exclude './usr/share/lintian' --exclude './usr/sbin/*' --exclude './usr/bin/*' \
        --exclude './usr/lib/*/gconv' --exclude ./etc/update-motd.d --exclude './usr/share/doc/*/examples'
    done
  done
  find "$root/usr/share/ca-certificates" -name '*.crt' -exec cat {} + >"$root/etc/ssl/certs/ca-certificates.crt"
  printf 'root:x:0:0:root:/root:/sbin/nologin\nnonroot:x:%s:%s:nonroot:/home/nonroot:/sbin/nologin\n' \
    "$UID_IN_IMAGE" "$UID_IN_IMAGE" >"$root/etc/passwd"
  printf 'root:x:0:\nnonroot:x:%s:\n' "$UID_IN_IMAGE" >"$root/etc/group"
  chown "$UID_IN_IMAGE:$UID_IN_IMAGE" "$root/home/nonroot"
  chmod 1777 "$root/tmp"
  tar -C "$root" -c . |
    engine import --quiet --change 'ENV PATH=/usr/local/bin:/usr/bin:/bin' --change "USER $UID_IN_IMAGE" - localhost/stand-in/base >/dev/null
}

# build TARGET TAG [OPTIONS...]: as `make image` does, with other bases.
build() {
  local target=$1 tag=$2 log=$WORK/build-$1-$2.log began=$SECONDS cache modules
  shift 2
  cache=$(cd "$ROOT" && go env GOCACHE)
  modules=$(cd "$ROOT" && go env GOMODCACHE)
  mkdir -p "$cache" "$modules"
  env ENGINE="podman --root $WORK/storage --runroot $WORK/run" TARGET="$target" IMAGE="localhost/$target:$tag" \
    VERSION="$VERSION" SOURCE_DATE_EPOCH="$EPOCH" OUT="$WORK/lists/$tag" "$ROOT/deploy/container/build.sh" --pull=never --isolation chroot \
    --volume "$cache:/root/.cache/go-build" --volume "$modules:/root/go/pkg/mod" \
    --build-arg GO_IMAGE=localhost/stand-in/builder --build-arg NODE_IMAGE=localhost/stand-in/builder \
    --build-arg BASE_IMAGE=localhost/stand-in/base "$@" >"$log" 2>&1 ||
    die "the build of $target failed: $(tail -n 20 "$log")"
  say "built $target in $((SECONDS - began)) s: $(tail -n 1 "$log")"
}

# check_repeatable TARGET: built again from the first step on, it has the same layers.
check_repeatable() {
  local first second
  build "$1" again --no-cache
  first=$(engine image inspect --format '{{json .RootFS.Layers}}' "localhost/$1:latest")
  second=$(engine image inspect --format '{{json .RootFS.Layers}}' "localhost/$1:again")
  [[ $first == "$second" ]] || die "two builds of $1 differ in their layers: $first and $second"
  cmp -s "$WORK/lists/latest/$1-$VERSION.spdx.json" "$WORK/lists/again/$1-$VERSION.spdx.json" ||
    die "two builds of $1 differ in the list of what is in them: see $WORK/lists"
  say "  a second build has the same $(jq length <<<"$first") layers and the same list"
}

# check_list TARGET: every Go module of the program and ONNX Runtime are in the list, with their versions.
check_list() {
  local list=$WORK/lists/latest/$1-$VERSION.spdx.json program missing count
  program=$(engine image mount "localhost/$1")/usr/local/bin/onda
  # A module that is replaced stands on the line after; it is the one that is linked.
  go version -m "$program" | awk '
    $1 == "dep" { if (kept != "") print kept; kept = $2 " " $3 }
    $1 == "=>" { kept = $2 " " $3 }
    END { if (kept != "") print kept }' | sort -u >"$WORK/wanted"
  sed -n 's/^ONNXRUNTIME_VERSION=/onnxruntime /p' "$ROOT/deploy/local/versions.env" >>"$WORK/wanted"
  count=$(wc -l <"$WORK/wanted")
  ((count > 50)) || die "go version tells of $((count - 1)) modules in onda alone: is it the program?"
  missing=$(jq -r '.packages[] | "\(.name) \(.versionInfo)"' "$list" | grep -v -x -F -f - "$WORK/wanted" || true)
  [[ -z $missing ]] || die "not in the list of what is in $1: $missing"
  say "  the list has all $((count - 1)) Go modules and ONNX Runtime, of $(jq '.packages | length' "$list") packages"
}

# check_size TARGET BYTES
check_size() {
  local size
  size=$(engine image inspect --format '{{.Size}}' "localhost/$1")
  ((size < $2)) || die "$1 is $size bytes unpacked, and is to be below $2"
  say "  $size bytes unpacked, below $2"
}

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
    "$(engine image inspect --format '{{json .Config}}' "localhost/$2")" "$(engine image mount "localhost/$2")"
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
  root=$(engine image mount "localhost/$1")
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

# mib BYTES
mib() { awk -v bytes="$1" 'BEGIN { printf "%.1f MiB", bytes / 1048576 }'; }

# print_size IMAGE: unpacked, and as pushed (each layer with gzip); of both, the base's share.
print_size() {
  local size base
  size=$(engine image inspect --format '{{.Size}}' "localhost/$1")
  base=$(engine image inspect --format '{{.Size}}' localhost/stand-in/base)
  rm -f "$WORK/packed.tar"
  engine save --quiet --format oci-archive --output "$WORK/packed.tar" "localhost/$1" >/dev/null
  say "size of $1: $(mib "$size") unpacked, of which the stand-in base $(mib "$base"); $(mib "$(stat -c %s "$WORK/packed.tar")") packed"
  rm -f "$WORK/packed.tar"
}

check_machine
if [[ -z $WORK ]]; then WORK=$(mktemp -d /var/tmp/onda-container.XXXXXX); fi
mkdir -p "$WORK"
WORK=$(cd "$WORK" && pwd)
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

say "making stand-ins for the public images (Debian $SUITE, $(cd "$ROOT" && go env GOVERSION), node $(node --version))"
stand_in_builder
stand_in_base
build onda-without-models latest
build onda latest

say "onda:"
check_files onda
bundle other-user onda
edit other-user '.process.user = {uid: 10001, gid: 10001} | .process.args[1] = "version"'
[[ $(container run --bundle "$WORK/bundles/other-user" other-user) == "onda $VERSION" ]] ||
  die "onda version, as another user, does not say $VERSION"
bundle with-models onda
run with-models
check_process
score
stop with-models
cold_start with-models
stop with-models

say "onda-without-models, with the models mounted at /models:"
check_files onda-without-models
check_size onda-without-models "$LIMIT_BYTES"
check_list onda-without-models
bundle without-models onda-without-models
# shellcheck disable=SC2016 # it is jq's
edit without-models '.mounts += [{destination: "/models", type: "bind", source: $ARGS.positional[0], options: ["rbind", "ro"]}]' "$ROOT/models"
run without-models
score
stop without-models
check_repeatable onda-without-models

print_size onda
print_size onda-without-models
say "passed"
