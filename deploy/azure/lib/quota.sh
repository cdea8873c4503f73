# Quotas, asked before anything is made: a cluster whose nodes never come is the usual end of a first try.
# shellcheck shell=bash

# quota FAMILY CORES WHAT: fails unless the region has so many cores of the family left.
quota() {
  local family=$1 cores=$2 what=$3 line limit used
  line=$(jq -r --arg f "$family" '.[] | select(.name.value == $f or .name.localizedValue == $f) | "\(.limit) \(.currentValue)"' <<<"$USAGE")
  if [[ -z $line ]]; then
    SHORT+=("$what: $LOCATION knows no quota family '$family'. Names: az vm list-usage --location $LOCATION --query '[].name.value'")
    return
  fi
  read -r limit used <<<"$line"
  # az gives numbers as words in some versions.
  limit=${limit%%.*} used=${used%%.*}
  say "  $(printf '%-28s' "$family") limit $limit, used $used, wanted up to $cores ($what)"
  ((limit - used >= cores)) && return
  SHORT+=("$what needs $cores cores of '$family' in $LOCATION, of which $((limit - used)) are free: request a limit of $((used + cores)) or more at https://portal.azure.com/#view/Microsoft_Azure_Capacity/QuotaMenuBlade/~/myQuotas (provider Compute, region $LOCATION), or take another size, region or number of nodes in $VARIABLES")
}

# check_quotas: of each pool at its largest, and of the region as a whole. Pools that are there already count as used, so
# each is asked for before it is made.
check_quotas() {
  local cores=0 gpu=0 pools
  SHORT=()
  pools=$(tofu_run state list 2>/dev/null || true)
  # One node more of each while nodes are upgraded.
  if ! grep -q 'azurerm_kubernetes_cluster.this' <<<"$pools"; then
    cores=$((($(bound system_nodes max 4) + $(bound cpu_nodes max 8) + 2) * $(variable cpu_vm_cores 4)))
  fi
  if [[ $(variable gpu_enabled false) == true ]] && ! grep -q 'node_pool.gpu' <<<"$pools"; then
    gpu=$(($(variable gpu_nodes_max 1) * $(variable gpu_vm_cores 4)))
  fi
  ((cores + gpu > 0)) || return 0
  heading "quotas of $LOCATION"
  USAGE=$(az vm list-usage --location "$LOCATION" -o json) || die "cannot read the quotas of $LOCATION: is it a region's short name (az account list-locations -o table)?"
  if ((gpu > 0)) && [[ $(variable gpu_spot false) == true ]]; then
    quota lowPriorityCores "$gpu" 'the GPU pool, as spot'
  elif ((gpu > 0)); then
    quota "$(variable gpu_vm_family 'Standard NCASv3_T4 Family')" "$gpu" 'the GPU pool'
  fi
  if ((cores > 0)); then quota "$(variable cpu_vm_family standardDDSv5Family)" "$cores" 'the system and CPU pools'; fi
  quota cores "$((cores + gpu))" 'all new pools'
  ((${#SHORT[@]} > 0)) || return 0
  printf 'error: %s\n' "${SHORT[@]}" >&2
  die "the quota is too small, and nothing was made: requests for CPU cores are often granted in minutes, for GPUs in days"
}
