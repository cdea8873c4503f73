#!/usr/bin/env bash
# Stands for az, tofu, helm, kubectl and the like: notes how it was called, and answers what the scripts read.
# FAKE is the folder of the test: log, and what there is (state, image).
set -euo pipefail

name=${0##*/}
arguments=$*
arguments=${arguments//-chdir="$FAKE_ROOT"\/deploy\/azure /}
arguments=${arguments//"$FAKE_ROOT"/ROOT}
printf '%s %s\n' "$name" "$arguments" >>"$FAKE/log"

# FAKE_FAIL is a pattern of calls that fail.
# shellcheck disable=SC2053 # a pattern
if [[ -n ${FAKE_FAIL:-} && "$name $arguments" == $FAKE_FAIL ]]; then
  echo "fake failure of $name" >&2
  exit 1
fi

case "$name $arguments" in
  'az account show'*)
    echo '{"id": "00000000-0000-0000-0000-000000000000", "tenantId": "33333333-3333-3333-3333-333333333333", "name": "Trial", "user": {"name": "you@example.com"}}'
    ;;
  'az vm list-usage'*) cat "$FAKE/usage.json" ;;
  'az acr repository show'*) [[ -f $FAKE/image ]] ;;
  'az acr build'* | 'docker push'*) touch "$FAKE/image" ;;
  'tofu plan -destroy'*)
    touch "$FAKE/destroying"
    echo 'Plan: 0 to add, 0 to change, 60 to destroy.'
    ;;
  'tofu plan'*) echo 'Plan: 60 to add, 0 to change, 0 to destroy.' ;;
  'tofu apply'*)
    if [[ -f $FAKE/destroying ]]; then
      rm "$FAKE/destroying" "$FAKE/state"
    else
      echo 'azurerm_kubernetes_cluster.this' >"$FAKE/state"
    fi
    ;;
  'tofu state list') cat "$FAKE/state" 2>/dev/null || true ;;
  'tofu output -json chart_values') echo '{"image": {"repository": "onda.azurecr.io/onda"}, "azure": {"keyVault": "onda-kv"}, "serviceAccount": {"annotations": {}}}' ;;
  'tofu output -raw gpu_enabled') printf '%s' "${FAKE_GPU:-false}" ;;
  'tofu output -raw private') printf '%s' "${FAKE_PRIVATE:-false}" ;;
  'tofu output -raw '*) printf 'the-%s' "${arguments##* }" ;;
  'curl '*ipify*) printf '203.0.113.7' ;;
  'kubectl create namespace'*) echo 'kind: Namespace' ;;
  'kubectl apply -f -') cat >/dev/null ;;
esac
