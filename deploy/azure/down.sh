#!/usr/bin/env bash
# Removes what up.sh made: shows all of it and what stays, asks for the name of the resource group, and destroys.
#
#   deploy/azure/down.sh              YES=1 does not ask
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lib/common.sh
source "$here/lib/common.sh"

what_stays() {
  heading 'what stays'
  say "- the Key Vault $(output key_vault), deleted but kept for $(variable deleted_retention_days 30) days: purge protection lets nobody"
  say "  end that. Until then its name is taken: make azure-up takes the vault back, with its secrets."
  say "- the Log Analytics workspace, deleted but kept for 14 days."
  say "- the Cosmos DB account, which support can restore for some days."
  say "- $VARIABLES, and the state."
  say "What is gone for good: uploaded models and inputs in the storage account, images, events that wait."
}

# confirm: more than yes, since it cannot be undone.
confirm() {
  local answer=''
  if [[ ${YES:-} == 1 ]]; then
    say "Destroy it: yes (YES=1)"
    return
  fi
  printf 'Type the name of the resource group, %s, to destroy all of it: ' "$GROUP" >&2
  read -r answer || true
  [[ $answer == "$GROUP" ]] || die "nothing was changed: the answer was not $GROUP (without a terminal set YES=1)"
}

# remove_release: its load balancers are made by the cluster, and would outlive it.
remove_release() {
  connect || return 1
  helm uninstall onda --namespace "$(output namespace)" --ignore-not-found --wait --timeout 10m >&2
}

need_az
need_jq
need_kubectl
need helm 'install Helm 3.14 or newer (https://helm.sh/docs/intro/install)'
find_tofu
account
check_variables
tofu_init
if [[ -z $(tofu_run state list 2>/dev/null) ]]; then
  say "there is nothing in the state: nothing to remove"
  exit 0
fi
GROUP=$(output resource_group)
heading 'plan'
tofu_run plan -destroy -var-file="$VARIABLES" -out="$WORK/plan" >&2
what_stays
confirm
remove_release || say "the release could not be removed, which does not matter if the cluster is gone; going on"
tofu_run apply "$WORK/plan" >&2
rm -f "$WORK/plan" "$VALUES" "$WORK/kubeconfig"
say "all of $GROUP is gone but what stays (above)"
