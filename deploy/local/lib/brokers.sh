# The brokers that the tests start for themselves: Kafka as jars from Maven Central, each pinned by its SHA-256 in
# brokers/kafka.txt. Java and RabbitMQ are the system's own.
# shellcheck shell=bash

KAFKA_PINS=$ROOT/deploy/local/brokers/kafka.txt
MAVEN_CENTRAL=https://repo1.maven.org/maven2

kafka_home() { printf '%s' "$LOCAL/kafka/$KAFKA_VERSION"; }

# have_kafka: the stamp is written last, so what has it is whole.
have_kafka() {
  local stamp
  stamp=$(kafka_home)/.stamp
  [[ -f $stamp && $(<"$stamp") == "$(cksum <"$KAFKA_PINS")" ]]
}

# fetch_jars TO: every jar of the list, side by side in one folder.
fetch_jars() {
  local sum path
  while read -r sum path; do
    [[ -n $sum && $sum != '#'* ]] || continue
    printf 'fetching %s\n' "$path"
    curl --fail --silent --show-error --location --retry 2 --connect-timeout 10 --max-time 120 \
      --output "$1/${path##*/}" "$MAVEN_CENTRAL/$path" || return
    [[ $(checksum 256 "$1/${path##*/}") == "$sum" ]] || {
      printf 'corrupt: %s\n' "$path"
      return 1
    }
  done <"$KAFKA_PINS"
}

# explain_kafka LOG: why a jar could not be had, in one line.
explain_kafka() {
  local log
  log=$(short "$1")
  if grep -q -E '^corrupt: ' "$1"; then
    die "a jar of Kafka is not what brokers/kafka.txt pins ($(grep -m 1 -E '^corrupt: ' "$1" | cut -c 10-160)): run make again; log: $log"
  fi
  if grep -q -E 'curl: \((5|6|7|28|35|56)\)' "$1"; then
    die "cannot reach Maven Central to fetch Kafka $KAFKA_VERSION: check the network or the proxy (https_proxy), then run make again; log: $log"
  fi
  die "cannot fetch Kafka $KAFKA_VERSION ($(grep -m 1 -E '^curl: ' "$1" | cut -c 1-160)): see $log"
}

# ensure_kafka: 45 MB.
ensure_kafka() {
  local log=$LOGS/kafka.log
  have_kafka && return
  command -v curl >/dev/null || die "curl is missing, which fetches Kafka's jars: install it (Debian and Ubuntu: apt-get install curl), then run make again"
  grep -q "/kafka_2.13-$KAFKA_VERSION.jar" "$KAFKA_PINS" || die "versions.env has Kafka $KAFKA_VERSION, and brokers/kafka.txt another one"
  say "fetching Kafka $KAFKA_VERSION (47 jars from Maven Central, 45 MB)"
  mkdir -p "$SCRATCH/kafka"
  slowly "Kafka $KAFKA_VERSION" "$log" fetch_jars "$SCRATCH/kafka" || explain_kafka "$log"
  cksum <"$KAFKA_PINS" >"$SCRATCH/kafka/.stamp"
  install_dir "$SCRATCH/kafka" "$(kafka_home)"
}

# check_brokers: what the system has to have.
check_brokers() {
  local missing=0
  command -v java >/dev/null || {
    say "error: java is missing, which runs Kafka: install Java 17 or newer (Debian and Ubuntu: apt-get install default-jre-headless; macOS: brew install openjdk)"
    missing=1
  }
  command -v rabbitmq-server >/dev/null || [[ -x /usr/sbin/rabbitmq-server ]] || {
    say "error: rabbitmq-server is missing: install RabbitMQ (Debian and Ubuntu: apt-get install rabbitmq-server, which also starts it as a service that the tests do not need; macOS: brew install rabbitmq)"
    missing=1
  }
  ((missing == 0)) || exit 1
}

ensure_brokers() {
  check_brokers
  ensure_kafka
}
