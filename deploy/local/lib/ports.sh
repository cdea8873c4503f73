# The ports that `make run` takes: their names, defaults and whether they are free; and the run file made of them.
# shellcheck shell=bash

# One line a port: the variable that changes it, the number that dapr.yaml has, and what listens there.
PORTS='ONDA_PORT 8080 Onda (HTTP and gRPC)
ONDA_METRICS_PORT 9464 metrics of Onda
DAPR_HTTP_PORT 3500 HTTP API of the sidecar of onda
DAPR_GRPC_PORT 50001 gRPC API of the sidecar of onda
DAPR_INTERNAL_PORT 50003 traffic between sidecars, that of onda
DAPR_METRICS_PORT 9465 metrics of the sidecar of onda
PORTAL_PORT 8090 the portal
PORTAL_DAPR_HTTP_PORT 3501 HTTP API of the sidecar of portal
PORTAL_DAPR_GRPC_PORT 50002 gRPC API of the sidecar of portal
PORTAL_DAPR_INTERNAL_PORT 50004 traffic between sidecars, that of portal
PORTAL_DAPR_METRICS_PORT 9466 metrics of the sidecar of portal'
readonly PORTS

# port NAME: the number in force.
port() {
  local name default
  while read -r name default _; do
    if [[ $name == "$1" ]]; then
      printf '%s' "${!name:-$default}"
      return
    fi
  done <<<"$PORTS"
}

# listening PORT: does anything accept connections there? Both loopback addresses, since a server may have only one.
listening() {
  (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null || (exec 3<>"/dev/tcp/::1/$1") 2>/dev/null
}

# owner_in_proc PORT: Linux tells without any tool; the process is found by the inode of its socket.
owner_in_proc() {
  local inode fd pid
  inode=$(awk -v port="$(printf ':%04X$' "$1")" '$2 ~ port && $4 == "0A" { print $10; exit }' \
    /proc/net/tcp /proc/net/tcp6 2>/dev/null)
  [[ -n $inode ]] || return 1
  for fd in /proc/[0-9]*/fd/*; do
    [[ $(readlink "$fd" 2>/dev/null) == "socket:[$inode]" ]] || continue
    pid=${fd#/proc/}
    pid=${pid%%/*}
    printf '%s (process %s)' "$(<"/proc/$pid/comm")" "$pid"
    return
  done
  return 1
}

# owner PORT: who listens there, as far as this user may know.
owner() {
  if [[ -r /proc/net/tcp ]]; then
    owner_in_proc "$1" && return
  elif command -v lsof >/dev/null; then
    lsof -nP -iTCP:"$1" -sTCP:LISTEN -Fpc 2>/dev/null |
      awk '/^p/ { pid = substr($0, 2) } /^c/ { printf "%s (process %s)", substr($0, 2), pid; found = 1; exit } END { exit !found }' && return
  fi
  printf 'another program (it belongs to another user)'
}

# check_ports: one line for each port that is not a port, named twice or taken.
check_ports() {
  local name what number seen=' ' bad=0
  while read -r name _ what; do
    number=$(port "$name")
    if [[ ! $number =~ ^[1-9][0-9]{0,4}$ ]] || ((number > 65535)); then
      say "error: $name=$number is not a port: give a number from 1 to 65535"
      bad=1
    elif [[ $seen == *" $number "* ]]; then
      say "error: port $number is wanted twice, the second time as $name: give each its own"
      bad=1
    elif listening "$number"; then
      say "error: port $number ($what) is in use by $(owner "$number"): stop it, or choose another: make run $name=$((number < 65436 ? number + 100 : number - 100))"
      bad=1
    fi
    seen+="$number "
  done <<<"$PORTS"
  ((bad == 0)) || exit 1
}

# ports_changed: is any port other than dapr.yaml has it?
ports_changed() {
  local name default
  while read -r name default _; do
    [[ $(port "$name") == "$default" ]] || return 0
  done <<<"$PORTS"
  return 1
}

# shell_settings: the names of Onda's settings that dapr.yaml has and the shell too, even as empty. Addresses are not
# among them: a port has a name of its own.
shell_settings() {
  local name
  while read -r name; do
    if [[ $name != *_LISTEN && -n ${!name+x} ]]; then printf '%s\n' "$name"; fi
  done < <(sed -n -E 's/^ +(ONDA_[A-Z_]+): .*/\1/p' "$ROOT/dapr.yaml")
}

# run_file: the file to give to `dapr run -f`: dapr.yaml, or a copy with other ports and without the settings that the
# shell has, as dapr hands the shell's on but lets its file go before them. The copy stands in another folder, so its paths
# become absolute. Each number goes through a name first: one port's new number may be another's old one.
run_file() {
  local name default script='' numbers='' settings
  settings=$(shell_settings)
  if [[ -z $settings ]] && ! ports_changed; then
    printf '%s' "$ROOT/dapr.yaml"
    return
  fi
  for name in $settings; do script+="/^ +$name: /d;"; done
  while read -r name default _; do
    script+="s/([^0-9])$default\$/\\1@$name@/;"
    numbers+="s/@$name@/$(port "$name")/;"
  done <<<"$PORTS"
  sed -E -e "$script" -e "$numbers" -e "s|: \\./|: $ROOT/|; s|(appDirPath:) \\.\$|\\1 $ROOT|" "$ROOT/dapr.yaml" >"$LOCAL/dapr.yaml"
  printf '%s' "$LOCAL/dapr.yaml"
}
