#!/usr/bin/env bash
# Checks the infrastructure without Azure: format, the provider's own validation, the tests with a mocked Azure, tflint,
# and checkov. `make azure-validate` sets up what it needs, the first time in half an hour.
#
#   deploy/azure/check.sh
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$here/../.." && pwd)
LOCAL=${ONDA_LOCAL_DIR:-$ROOT/.local}
export TF_CLI_CONFIG_FILE=$LOCAL/tools/azurerm/tofurc TF_DATA_DIR=$LOCAL/azure/check TF_IN_AUTOMATION=1 CHECKPOINT_DISABLE=1
tofu=$LOCAL/tools/bin/tofu

failed=()

# The hashes of a provider that was built here are nobody else's.
trap 'rm -f "$here/.terraform.lock.hcl"' EXIT

# step NAME COMMAND...: all of them run, so that one run tells all.
step() {
  local name=$1
  shift
  printf '== %s\n' "$name"
  "$@" || failed+=("$name")
}

# checkov ARGUMENTS...: exceptions and their reasons are in .checkov.yaml.
checkov() {
  "$LOCAL/venv/checkov/bin/checkov" --config-file "$here/.checkov.yaml" --quiet --compact --skip-download "$@"
}

# rendered: the chart's manifests as Kubernetes gets them.
rendered() {
  local dir=$LOCAL/azure/rendered
  mkdir -p "$dir"
  "$LOCAL/tools/bin/helm" template onda "$ROOT/deploy/chart" --namespace onda --set azure.cosmos.url=https://onda.documents.azure.com:443/ >"$dir/onda.yaml"
  checkov --framework kubernetes --file "$dir/onda.yaml"
}

step 'format' "$tofu" -chdir="$here" fmt -check -recursive -diff
step 'init' "$tofu" -chdir="$here" init -backend=false -input=false
step 'validate' "$tofu" -chdir="$here" validate
step 'test' "$tofu" -chdir="$here" test
if [[ -x $LOCAL/tools/bin/tflint ]]; then step 'tflint' "$LOCAL/tools/bin/tflint" --chdir="$here"; fi
if [[ -x $LOCAL/venv/checkov/bin/checkov ]]; then
  step 'checkov, infrastructure' checkov --framework terraform --directory "$here"
  step 'checkov, device plugin' checkov --framework kubernetes --directory "$here/gpu"
  step 'checkov, Dockerfile' checkov --framework dockerfile --file "$ROOT/Dockerfile"
  if [[ -x $LOCAL/tools/bin/helm ]]; then step 'checkov, chart' rendered; fi
fi
((${#failed[@]} == 0)) || {
  printf 'FAILED: %s\n' "${failed[@]}" >&2
  exit 1
}
echo 'the infrastructure is sound'
