# What tests/cluster needs: a Kubernetes control plane and Dapr's, built from their Go modules, and the resource definitions
# of what the chart may make, out of the modules that publish them.
# shellcheck shell=bash

CLUSTER=$LOCAL/cluster

# ensure_cluster: programs in bin, definitions in crds.
ensure_cluster() {
  ensure_daprd
  ensure_chart_tools
  ensure_control_plane
  ensure_injector
  ensure_definitions
  mkdir -p "$CLUSTER/bin"
  ln -sfn "$(dapr_home)/.dapr/bin/sentry" "$CLUSTER/bin/sentry"
  ln -sfn ../injector/injector "$CLUSTER/bin/injector"
  local program
  for program in etcd kube-apiserver kube-controller-manager kubectl; do
    ln -sfn "../kubernetes/$program" "$CLUSTER/bin/$program"
  done
}

ensure_control_plane() {
  local version stamp module=cluster/kubernetes dir=$SCRATCH/kubernetes
  version=$(pinned $module k8s.io/kubernetes)
  stamp=$(stamp_of $module "$version")
  have_item "$CLUSTER/kubernetes" "$stamp" etcd kube-apiserver kube-controller-manager kubectl && return
  say "building Kubernetes $version and etcd from their Go modules (the first time 5 to 10 minutes on 2 cores)"
  mkdir -p "$dir"
  go_build "etcd" "$LOGS/etcd.log" $module -ldflags "-s -w" -o "$dir/etcd" go.etcd.io/etcd/server/v3
  go_build "Kubernetes $version" "$LOGS/kubernetes.log" $module -ldflags "$(kubernetes_flags "$version")" -o "$dir/" \
    k8s.io/kubernetes/cmd/kube-apiserver k8s.io/kubernetes/cmd/kube-controller-manager k8s.io/kubernetes/cmd/kubectl
  printf '%s\n' "$stamp" >"$dir/.stamp"
  install_dir "$dir" "$CLUSTER/kubernetes"
}

# kubernetes_flags VERSION: the API server tells its version, which helm holds against the chart's kubeVersion.
kubernetes_flags() {
  local at=k8s.io/component-base/version minor=${1#*.}
  printf '%s' "-s -w -X $at.gitVersion=v$1 -X $at.gitMajor=${1%%.*} -X $at.gitMinor=${minor%%.*}"
}

ensure_injector() {
  local stamp dir=$SCRATCH/injector
  stamp=$(stamp_of dapr "injector $DAPR_VERSION")
  have_item "$CLUSTER/injector" "$stamp" injector && return
  say "building Dapr's injector $DAPR_VERSION from its Go module (the first time about a minute on 2 cores)"
  mkdir -p "$dir"
  go_build "Dapr's injector $DAPR_VERSION" "$LOGS/injector.log" dapr \
    -ldflags "-s -w -X github.com/dapr/dapr/pkg/buildinfo.version=$DAPR_VERSION" -o "$dir/injector" github.com/dapr/dapr/cmd/injector
  printf '%s\n' "$stamp" >"$dir/.stamp"
  install_dir "$dir" "$CLUSTER/injector"
}

# ensure_definitions: one folder, each file named after its group and kind. go.sum holds the modules to what was pinned.
ensure_definitions() {
  local stamp module=cluster/crds
  stamp=$(stamp_of $module definitions)
  have_item "$CLUSTER/crds" "$stamp" && return
  say "fetching the resource definitions of Dapr, KEDA, Gateway API and the Prometheus operator (Go modules)"
  mkdir -p "$SCRATCH/crds"
  slowly "resource definitions" "$LOGS/definitions.log" copy_definitions "$ROOT/deploy/local/$module" "$SCRATCH/crds" ||
    explain_go "the resource definitions" "$LOGS/definitions.log"
  printf '%s\n' "$stamp" >"$SCRATCH/crds/.stamp"
  install_dir "$SCRATCH/crds" "$CLUSTER/crds"
}

# copy_definitions MODULE_DIR TO
copy_definitions() {
  local name path dir file
  cd "$1" || return
  export GOWORK=off GOFLAGS=-mod=readonly
  while read -r name path; do
    go mod download "$path" || return
    dir=$(go list -m -f '{{.Dir}}' "$path")/$name || return
    for file in "$dir"/*.yaml; do install -m 644 "$file" "$2/$(basename "$(dirname "$dir")")-$(basename "$file")" || return; done
  done <<'MODULES'
charts/dapr/crds github.com/dapr/dapr
config/crd/bases github.com/kedacore/keda/v2
config/crd/standard sigs.k8s.io/gateway-api
example/prometheus-operator-crd github.com/prometheus-operator/prometheus-operator
MODULES
}
