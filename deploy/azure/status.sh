#!/usr/bin/env bash
# How Onda stands on Azure: the infrastructure, the nodes, Dapr, the release and its pods. Changes nothing.
#
#   deploy/azure/status.sh
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lib/common.sh
source "$here/lib/common.sh"

# show HEADING COMMAND...: one part that fails does not hide the others.
show() {
  heading "$1"
  shift
  "$@" || {
    say "  (this could not be read)"
    WRONG=1
  }
}

WRONG=0
need_az
need_jq
need_kubectl
need helm 'install Helm 3.14 or newer (https://helm.sh/docs/intro/install)'
find_tofu
account
check_variables
tofu_init
must_be_made
GROUP=$(output resource_group)
CLUSTER=$(output cluster_name)
NAMESPACE=$(output namespace)
show 'cluster' az aks show -g "$GROUP" -n "$CLUSTER" --query '{state: provisioningState, power: powerState.code, kubernetes: currentKubernetesVersion}' -o table
show 'node pools' az aks nodepool list -g "$GROUP" --cluster-name "$CLUSTER" --query '[].{pool: name, size: vmSize, nodes: count, min: minCount, max: maxCount, state: provisioningState}' -o table
show 'Dapr' az k8s-extension show -g "$GROUP" -c "$CLUSTER" --cluster-type managedClusters -n dapr --query '{version: version, state: provisioningState}' -o table
connect
show 'nodes' kubectl get nodes -L onda/pool
show 'release' helm status onda --namespace "$NAMESPACE"
show 'pods' kubectl -n "$NAMESPACE" get pods -o wide
say "Grafana       $(output grafana)"
((WRONG == 0))
