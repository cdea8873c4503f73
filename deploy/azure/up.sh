#!/usr/bin/env bash
# Makes or changes Onda's infrastructure on Azure: shows the plan, asks, and applies just that plan.
#
#   deploy/azure/up.sh                YES=1 does not ask; PLAN_ONLY=1 ends after the plan
#                                     ONDA_AZURE_MY_IP=203.0.113.7 is this machine's public address; lookup asks api.ipify.org
#                                     ONDA_AZURE_STATE=RESOURCE_GROUP/ACCOUNT/CONTAINER keeps the state in Azure
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lib/common.sh
source "$here/lib/common.sh"
# shellcheck source=lib/quota.sh
source "$here/lib/quota.sh"

# my_address: the public address of this machine. A server of somebody else is asked only by who says so: YES=1 does not.
my_address() {
  local address=${ONDA_AZURE_MY_IP:-}
  if [[ -z $address && ${YES:-} != 1 ]]; then
    printf 'The cluster lets in this machine alone: type its public address, or lookup to ask https://api.ipify.org for it: ' >&2
    read -r address || true
  fi
  if [[ $address == lookup ]]; then address=$(curl -s -m 10 https://api.ipify.org || true); fi
  printf '%s' "$address"
}

# write_variables: the first time, a file to edit; the subscription of az, and the address of this machine as the only one
# that gets in.
write_variables() {
  local address
  [[ ! -f $VARIABLES ]] || return 0
  mkdir -p "$(dirname "$VARIABLES")"
  address=$(my_address)
  [[ $address =~ ^[0-9]+(\.[0-9]+){3}$ ]] ||
    die "the public address of this machine is not known: give it as ONDA_AZURE_MY_IP=203.0.113.7, or ONDA_AZURE_MY_IP=lookup to ask api.ipify.org, then run this again"
  sed -e "s/SUBSCRIPTION/$SUBSCRIPTION/" -e "s/TENANT/$TENANT/" -e "s/ADDRESS/$address/" "$here/onda.tfvars.example" >"$VARIABLES"
  say "wrote $VARIABLES: edit it as you like, and run this again. Nothing was made."
  exit 0
}

need_az
need_jq
find_tofu
account
write_variables
check_variables
tofu_init
check_quotas
heading 'plan'
tofu_run plan -var-file="$VARIABLES" -out="$WORK/plan" >&2
[[ ${PLAN_ONLY:-} != 1 ]] || exit 0
ask "Apply this plan in the subscription $SUBSCRIPTION? It costs money from then on (deploy/azure/README.md)."
# A plan is of one state: what changed in between makes it refuse.
tofu_run apply "$WORK/plan" >&2
rm -f "$WORK/plan"
say "the cluster $(output cluster_name) is there. Next: make deploy"
