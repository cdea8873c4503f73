#!/usr/bin/env bash
# Fetches and builds what is missing on this machine, pinned and checksummed, into .local. What is there already costs
# milliseconds; nothing outside .local and Go's and npm's own caches is touched.
#
#   deploy/local/setup.sh SET...      SET: run | test | clients | lint | vuln | monitoring | app | bench | chart | cluster | azure | brokers | all
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lib/common.sh
source "$here/lib/common.sh"
# shellcheck source=lib/prerequisites.sh
source "$here/lib/prerequisites.sh"
# shellcheck source=lib/onnxruntime.sh
source "$here/lib/onnxruntime.sh"
# shellcheck source=lib/gotools.sh
source "$here/lib/gotools.sh"
# shellcheck source=lib/python.sh
source "$here/lib/python.sh"
# shellcheck source=lib/peers.sh
source "$here/lib/peers.sh"
# shellcheck source=lib/azurite.sh
source "$here/lib/azurite.sh"
# shellcheck source=lib/cluster.sh
source "$here/lib/cluster.sh"
# shellcheck source=lib/monitoring.sh
source "$here/lib/monitoring.sh"
# shellcheck source=lib/azure.sh
source "$here/lib/azure.sh"
# shellcheck source=lib/brokers.sh
source "$here/lib/brokers.sh"

# ensure_dapr_to_run: nothing is built where the user's own Dapr will do.
ensure_dapr_to_run() {
  if suitable_dapr; then return; fi
  ensure_daprd
  ensure_dapr_cli
}

ensure() {
  case $1 in
    app) build_app ;;
    run)
      ensure_onnxruntime
      ensure_dapr_to_run
      ;;
    test)
      # Tests use our own builds, whatever is installed: they test one pair of versions.
      ensure_onnxruntime
      ensure_daprd
      ensure_dapr_cli
      ensure_gotestsum
      ensure_azurite
      ensure_chart_tools
      ;;
    clients) ensure_clients ;;
    lint) ensure_golangci_lint ;;
    vuln) ensure_govulncheck ;;
    monitoring) ensure_prometheus ;;
    chart) ensure_chart_tools ;;
    azure)
      ensure_tofu
      ensure_tflint
      ensure_azurerm
      ensure_checkov
      ensure_chart_tools
      ;;
    cluster) ensure_cluster ;;
    brokers) ensure_brokers ;;
    bench)
      ensure_onnxruntime
      ensure_daprd
      build_app
      ensure_peers
      ;;
    all)
      ensure test
      ensure clients
      ensure lint
      ensure vuln
      ensure monitoring
      ;;
    *) die "setup.sh knows no set $1: run, test, clients, lint, vuln, monitoring, app, bench, chart, cluster, azure, brokers or all" ;;
  esac
}

(($# > 0)) || die "usage: deploy/local/setup.sh run|test|clients|lint|vuln|monitoring|app|bench|chart|cluster|azure|brokers|all ..."
trap on_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
check_prerequisites
make_scratch
for item in "$@"; do ensure "$item"; done
