# Shared by the commands of deploy/azure: messages, the programs they need, questions, and how OpenTofu is called.
# shellcheck shell=bash

AZURE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ROOT=$(cd "$AZURE/../.." && pwd)
# State, plans and values. ONDA_LOCAL_DIR lets the tests use a folder of their own.
WORK=${ONDA_LOCAL_DIR:-$ROOT/.local}/azure
VARIABLES=${ONDA_AZURE_VARS:-$WORK/onda.tfvars}
VALUES=$WORK/values.json
# shellcheck disable=SC2034 # for the commands
readonly AZURE ROOT WORK VARIABLES VALUES

say() { printf '%s\n' "$*" >&2; }

die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# heading TEXT: what follows, so that a long output can be read.
heading() { printf '\n== %s\n' "$*" >&2; }

# need PROGRAM HINT: says what is missing, and how to get it.
need() { command -v "$1" >/dev/null || die "$1 is missing: $2, then run this again"; }

# find_tofu: OpenTofu where it is installed, else ours, else Terraform, which reads the same files.
find_tofu() {
  local candidate
  for candidate in tofu "$ROOT/.local/tools/bin/tofu" terraform; do
    if command -v "$candidate" >/dev/null; then
      TOFU=$candidate
      return
    fi
  done
  die "tofu is missing: install OpenTofu 1.9 or newer (https://opentofu.org/docs/intro/install), then run this again"
}

need_az() { need az 'install the Azure CLI (https://learn.microsoft.com/cli/azure/install-azure-cli)'; }
need_jq() { need jq 'install jq (Debian and Ubuntu: apt-get install jq; macOS: brew install jq)'; }
need_kubectl() {
  need kubectl 'install it (az aks install-cli)'
  need kubelogin 'install it (az aks install-cli): the cluster knows people by Entra ID alone'
}

# account: who is logged in, and into which subscription; shown by every command before it does anything.
account() {
  local shown
  shown=$(az account show -o json 2>/dev/null) || die "az is not logged in: run az login, then run this again"
  SUBSCRIPTION=$(jq -r .id <<<"$shown")
  TENANT=$(jq -r .tenantId <<<"$shown")
  say "subscription  $(jq -r .name <<<"$shown") ($SUBSCRIPTION)"
  say "as            $(jq -r .user.name <<<"$shown"), tenant $TENANT"
}

# check_variables: the subscription that az is logged into must be the one that is meant.
check_variables() {
  local meant
  [[ -f $VARIABLES ]] || die "$VARIABLES is not there: run make azure-up first, which writes it"
  meant=$(variable subscription_id '')
  [[ $meant == "$SUBSCRIPTION" ]] || die "$VARIABLES names the subscription $meant, and az is logged into $SUBSCRIPTION: run az account set --subscription $meant, or change the file"
  LOCATION=$(variable location westeurope)
  say "region        $LOCATION"
  say "variables     $VARIABLES"
}

# variable NAME DEFAULT: what onda.tfvars says; maps and lists are not read here, but those of one line as they stand.
variable() {
  local value
  value=$(sed -n -E "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*(.*[^[:space:]])[[:space:]]*$/\1/p" "$VARIABLES" | tail -n 1)
  value=${value%%[[:space:]]#*}
  value=${value#\"} value=${value%\"}
  printf '%s' "${value:-$2}"
}

# bound NAME min|max DEFAULT: a number of { min = 1, max = 4 }.
bound() {
  local value
  value=$(variable "$1" '' | sed -n -E "s/.*$2[[:space:]]*=[[:space:]]*([0-9]+).*/\1/p")
  printf '%s' "${value:-$3}"
}

# ask QUESTION: goes on at yes alone. YES=1 is yes; without a terminal there is nobody to ask.
ask() {
  local answer=''
  if [[ ${YES:-} == 1 ]]; then
    say "$* yes (YES=1)"
    return
  fi
  printf '%s Type yes to go on: ' "$*" >&2
  read -r answer || true
  [[ $answer == yes ]] || die "nothing was changed: the answer was not yes (without a terminal set YES=1)"
}

# tofu_run ARGUMENTS...: OpenTofu on this configuration, with its data outside the checkout's tracked files.
tofu_run() {
  TF_DATA_DIR=$WORK/tofu TF_IN_AUTOMATION=1 TF_INPUT=0 "$TOFU" -chdir="$AZURE" "$@"
}

# tofu_init: with the state where ONDA_AZURE_STATE says (RESOURCE_GROUP/ACCOUNT/CONTAINER), else in .local/azure. The
# backend's kind is a file of its own, since OpenTofu takes it from nowhere else.
tofu_init() {
  local backend=$AZURE/backend_override.tf group account container
  mkdir -p "$WORK"
  if [[ -n ${ONDA_AZURE_STATE:-} ]]; then
    IFS=/ read -r group account container <<<"$ONDA_AZURE_STATE"
    [[ -n ${container:-} ]] || die "ONDA_AZURE_STATE must be RESOURCE_GROUP/ACCOUNT/CONTAINER, not $ONDA_AZURE_STATE"
    printf 'terraform {\n  backend "azurerm" {}\n}\n' >"$backend"
    say "state         container $container of the storage account $account"
    tofu_run init -reconfigure -backend-config="resource_group_name=$group" -backend-config="storage_account_name=$account" \
      -backend-config="container_name=$container" -backend-config=key=onda.tfstate -backend-config=use_azuread_auth=true >&2
    return
  fi
  printf 'terraform {\n  backend "local" {\n    path = "%s/onda.tfstate"\n  }\n}\n' "$WORK" >"$backend"
  say "state         $WORK/onda.tfstate, on this machine alone: see ONDA_AZURE_STATE in deploy/azure/README.md"
  tofu_run init -reconfigure >&2
}

# output NAME: one output of what was made.
output() { tofu_run output -raw "$1"; }

# must_be_made: is there a cluster in the state?
must_be_made() {
  tofu_run state list 2>/dev/null | grep -q '^azurerm_kubernetes_cluster.this$' ||
    die "there is no cluster in the state: run make azure-up first (with the same ONDA_AZURE_STATE, if you use it)"
}

# connect: a kubeconfig of this folder's own, so that no other cluster is meant by accident. az's login is kubectl's.
connect() {
  export KUBECONFIG=$WORK/kubeconfig
  az aks get-credentials --resource-group "$(output resource_group)" --name "$(output cluster_name)" --file "$KUBECONFIG" --overwrite-existing --only-show-errors >&2
  kubelogin convert-kubeconfig -l azurecli >&2
}
