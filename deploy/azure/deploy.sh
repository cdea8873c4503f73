#!/usr/bin/env bash
# Brings Onda into the cluster that up.sh made: builds the image in the registry, unless it is there, and installs or
# upgrades the chart with the values that the infrastructure gives.
#
#   deploy/azure/deploy.sh            YES=1 does not ask; PROFILE=gpu for the GPU pool; EVENTS=1 scales from zero with events
#                                     ONDA_IMAGE_TAG=1.2.3 takes or builds that tag, with -cuda behind it for the GPU; ONDA_BUILDER=docker or podman builds here
#                                     ONDA_CHART_VALUES=my.yaml goes on top of all other values
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=lib/common.sh
source "$here/lib/common.sh"

readonly PROFILE=${PROFILE:-cpu} RELEASE=onda

# image_target: the target of the Dockerfile. Not TARGET: make exports that for its own images.
image_target() {
  if [[ $PROFILE == gpu ]]; then printf onda-cuda; else printf onda; fi
}

# image_tag: an image with CUDA has a tag of its own, so that one without is never taken for it.
image_tag() {
  local tag
  tag=$(plain_tag) || return
  if [[ $PROFILE == gpu ]]; then tag=${tag%-cuda}-cuda; fi
  printf '%s' "$tag"
}

# plain_tag: the commit; what is not committed has no name that can be found again.
plain_tag() {
  if [[ -n ${ONDA_IMAGE_TAG:-} ]]; then
    printf '%s' "$ONDA_IMAGE_TAG"
    return
  fi
  [[ -z $(git -C "$ROOT" status --porcelain 2>/dev/null) ]] ||
    die "there are changes that are not committed: commit them, or name the image yourself with ONDA_IMAGE_TAG=..."
  git -C "$ROOT" rev-parse --short=12 HEAD 2>/dev/null || die "this is no git checkout: name the image yourself with ONDA_IMAGE_TAG=..."
}

# check_profile: a GPU profile without the pool would wait for ever.
check_profile() {
  case $PROFILE in
    cpu) ;;
    gpu) [[ $(output gpu_enabled) == true ]] || die "PROFILE=gpu needs the GPU pool: set gpu_enabled = true in $VARIABLES and run make azure-up" ;;
    *) die "PROFILE must be cpu or gpu, not $PROFILE" ;;
  esac
}

# builder: the registry builds by itself; one that is private does not, and a program on this machine does.
builder() {
  if [[ -n ${ONDA_BUILDER:-} ]]; then
    printf '%s' "$ONDA_BUILDER"
  elif [[ $(output private) == true ]]; then
    command -v docker || command -v podman || die "the registry is private and does not build: install docker or podman on this machine, which must reach it"
  else
    printf acr
  fi
}

image_exists() {
  az acr repository show --name "$REGISTRY" --image "onda:$TAG" -o none 2>/dev/null
}

build_image() {
  if image_exists; then
    say "the image onda:$TAG is in the registry already"
    return
  fi
  local target
  target=$(image_target)
  if [[ $BUILDER == acr ]]; then
    az acr build --registry "$REGISTRY" --image "onda:$TAG" --target "$target" --build-arg "VERSION=$TAG" --file "$ROOT/Dockerfile" "$ROOT" >&2
    return
  fi
  need "$BUILDER" 'install it, or leave ONDA_BUILDER out: the registry then builds'
  az acr login --name "$REGISTRY" >&2
  "$BUILDER" build --platform linux/amd64 --tag "$SERVER/onda:$TAG" --target "$target" --build-arg "VERSION=$TAG" --file "$ROOT/Dockerfile" "$ROOT" >&2
  "$BUILDER" push "$SERVER/onda:$TAG" >&2
}

# write_values: what the infrastructure gives, with the tag.
write_values() {
  tofu_run output -json chart_values | jq --arg tag "$TAG" '.image.tag = $tag' >"$VALUES"
}

# prepare_cluster: the namespace with its pod security standard, the device plugin, and a look whether Dapr is there: a pod
# that comes before it has no sidecar.
prepare_cluster() {
  local manifest
  manifest=$(kubectl create namespace "$NAMESPACE" --dry-run=client -o yaml)
  kubectl apply -f - <<<"$manifest" >&2
  kubectl label namespace "$NAMESPACE" --overwrite pod-security.kubernetes.io/enforce=restricted pod-security.kubernetes.io/warn=restricted >&2
  if [[ $(output gpu_enabled) == true ]]; then kubectl apply -f "$here/gpu/device-plugin.yaml" >&2; fi
  kubectl -n dapr-system rollout status deployment/dapr-sidecar-injector --timeout=5m >&2 ||
    die "Dapr is not ready: see kubectl -n dapr-system get pods, and az k8s-extension show -n dapr --cluster-type managedClusters -c $CLUSTER -g $GROUP"
}

install_chart() {
  local files=()
  if [[ $PROFILE == gpu ]]; then files+=(-f "$ROOT/deploy/chart/values-gpu.yaml"); fi
  if [[ ${EVENTS:-} == 1 ]]; then files+=(-f "$ROOT/deploy/chart/values-events.yaml"); fi
  files+=(-f "$VALUES")
  if [[ -n ${ONDA_CHART_VALUES:-} ]]; then files+=(-f "$ONDA_CHART_VALUES"); fi
  # A first GPU node takes minutes to come.
  helm upgrade --install "$RELEASE" "$ROOT/deploy/chart" --namespace "$NAMESPACE" "${files[@]}" \
    --set "serviceAccount.name=$(output service_account)" --wait --timeout 20m >&2
}

show_plan() {
  heading 'plan'
  say "image         $SERVER/onda:$TAG ($BUILDER builds it, unless it is there)"
  say "cluster       $CLUSTER, resource group $GROUP"
  say "namespace     $NAMESPACE, pod security: restricted"
  say "chart         deploy/chart as release $RELEASE, profile $PROFILE${EVENTS:+, events}"
  say "values        $VALUES${ONDA_CHART_VALUES:+ and $ONDA_CHART_VALUES}"
}

need_az
need_jq
need_kubectl
need helm 'install Helm 3.14 or newer (https://helm.sh/docs/intro/install)'
find_tofu
account
check_variables
tofu_init
must_be_made
check_profile
# A line each: of several assignments in one, only the last may fail.
TAG=$(image_tag)
REGISTRY=$(output registry)
SERVER=$(output registry_server)
GROUP=$(output resource_group)
CLUSTER=$(output cluster_name)
NAMESPACE=$(output namespace)
BUILDER=$(builder)
BUILDER=${BUILDER##*/}
show_plan
ask 'Do it?'
write_values
build_image
connect
prepare_cluster
install_chart
say "Onda is there. A first prediction: deploy/azure/README.md; how it stands: make azure-status"
