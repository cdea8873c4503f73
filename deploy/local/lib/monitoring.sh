# Prometheus and its promtool, which the tests of the dashboards and alerts talk to: built from the pinned Go module.
# shellcheck shell=bash

# ensure_prometheus: without the many ways to find targets (clouds, Kubernetes), none of which the tests need.
ensure_prometheus() {
  local version program
  version=$(pinned monitoring github.com/prometheus/prometheus)
  for program in prometheus promtool; do
    ensure_tool "$program" "$version" monitoring "$(stamp_of monitoring "$version")" "the first time about 5 minutes on 2 cores" \
      -tags remove_all_sd -ldflags "-s -w -X github.com/prometheus/common/version.Version=$version" \
      "github.com/prometheus/prometheus/cmd/$program"
  done
}
