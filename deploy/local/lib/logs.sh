# The logs that dapr writes for each program, and what they say of one that ended.
# shellcheck shell=bash

# newest_log APP KIND: the log that dapr writes for this run.
newest_log() {
  local log newest=''
  for log in "$ROOT/.dapr/logs/$1_$2"_*.log; do
    if [[ -z $newest || $log -nt $newest ]]; then newest=$log; fi
  done
  printf '%s' "$newest"
}

# complaint LOG: the last line of level error or fatal, in the forms of Onda (JSON and console), of the sidecar and of Go,
# or what a program said when it gave up. An error that a line of another level tells of is none.
complaint() {
  local app='(== APP - [a-z]+ == )?' colour=$'(\e\\[[0-9;]*m)*'
  grep -E -a \
    -e "^${app}\\{\"level\":\"(error|fatal|panic)\"" -e "^${app}${colour}[^ ]+${colour} ${colour}(ERR|FTL|PNC)${colour} " \
    -e "^time=[^ ]+ level=(error|fatal) " -e "^${app}(onda|portal|panic|fatal error): " "$1" |
    tail -n 1 | sed -E -e 's/^== APP - [a-z]+ == //; s/.*msg="(.*)" app_id.*/\1/' -e $'s/\e\\[[0-9;]*m//g' | cut -c 1-300
}

# how_ended LOG: how dapr saw the program end, as "killed by signal 9" or "exit code 2".
how_ended() {
  local how
  how=$(sed -n -E 's/^.*The (App|daprd) process exited with error code: //p' "$1" | tail -n 1)
  case $how in
    'signal: killed'*) printf 'killed by signal 9' ;;
    'signal: '*) printf 'ended by a signal (%s)' "${how#signal: }" ;;
    'exit status '*) printf 'exit code %s' "${how#exit status }" ;;
    *) printf '%s' "$how" ;;
  esac
}

# last_words LOG: why the program ended: nobody who is killed says anything, and what was said before is not why.
last_words() {
  local how words=''
  how=$(how_ended "$1")
  [[ $how == *signal* ]] || words=$(complaint "$1" || true)
  printf '%s' "${words:-$how}"
}

# dead_part: dapr goes on when one of the programs has ended, and says so only in its log. Prints one line then.
dead_part() {
  local app kind log words
  for app in onda portal; do
    for kind in app daprd; do
      log=$(newest_log "$app" "$kind")
      [[ -f $log && $log -nt $PID_FILE ]] || continue
      if grep -q -E 'The (App|daprd) process exited with error' "$log"; then
        if [[ $kind == app ]]; then kind=$app; else kind="the sidecar of $app"; fi
        words=$(last_words "$log")
        printf '%s ended%s; log: %s' "$kind" "${words:+: $words}" "$(short "$log")"
        return
      fi
    done
  done
}
