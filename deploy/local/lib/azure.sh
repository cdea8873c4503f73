# What checks the infrastructure on Azure without Azure: OpenTofu, the azurerm provider, tflint, and checkov.
# shellcheck shell=bash

CHECKOV=$LOCAL/venv/checkov
CHECKOV_PINS=$ROOT/deploy/azure/checks/requirements.txt

ensure_tofu() {
  local version
  version=$(pinned tools/tofu github.com/opentofu/opentofu)
  ensure_tool tofu "$version" tools/tofu "$(stamp_of tools/tofu "$version")" "the first time about 5 minutes on 2 cores" \
    -ldflags "-s -w -X github.com/opentofu/opentofu/version.dev=no" github.com/opentofu/opentofu/cmd/tofu
}

ensure_tflint() {
  local version
  version=$(pinned tools/tflint github.com/terraform-linters/tflint)
  ensure_tool tflint "$version" tools/tflint "$(stamp_of tools/tflint "$version")" "the first time about 3 minutes on 2 cores" \
    -ldflags "-s -w" github.com/terraform-linters/tflint
}

# ensure_azurerm: the provider, and the folder from which OpenTofu takes it as from a registry.
ensure_azurerm() {
  local mirror
  ensure_tool azurerm "$AZURERM_VERSION" tools/azurerm "$(stamp_of tools/azurerm "$AZURERM_VERSION")" "the first time about half an hour on 2 cores" \
    -ldflags "-s -w -X github.com/hashicorp/terraform-provider-azurerm/version.ProviderVersion=$AZURERM_VERSION" \
    github.com/hashicorp/terraform-provider-azurerm
  mirror=$LOCAL/tools/azurerm/mirror/registry.opentofu.org/hashicorp/azurerm/$AZURERM_VERSION/$(go env GOOS)_$(go env GOARCH)
  mkdir -p "$mirror"
  ln -sfn "$LOCAL/tools/azurerm/$AZURERM_VERSION/azurerm" "$mirror/terraform-provider-azurerm_v$AZURERM_VERSION"
  # Nothing is asked of a registry, and nothing else is installed.
  cat >"$LOCAL/tools/azurerm/tofurc" <<RC
provider_installation {
  filesystem_mirror {
    path = "$LOCAL/tools/azurerm/mirror"
  }
}
RC
}

# ensure_checkov: as the Python clients of the tests, in an environment of its own.
ensure_checkov() {
  local python
  [[ -f $CHECKOV/pins && $(cksum <"$CHECKOV_PINS") == "$(<"$CHECKOV/pins")" ]] && "$CHECKOV/bin/python" -c '' 2>/dev/null && return
  if ! python=$(find_python); then
    local text="Python 3.11 to 3.13 with its venv is missing: without it checkov does not run (Debian and Ubuntu: apt-get install python3-venv)"
    [[ -z ${CI:-} ]] || die "$text"
    say "note: $text"
    return 0
  fi
  say "fetching checkov (deploy/azure/checks/requirements.in)"
  rm -rf "$CHECKOV"
  "$python" -m venv "$CHECKOV" >"$LOGS/checkov.log" 2>&1 || die "cannot make a virtual environment: see $(short "$LOGS/checkov.log")"
  slowly 'checkov' "$LOGS/checkov.log" \
    "$CHECKOV/bin/python" -m pip install --disable-pip-version-check --no-input --require-hashes --only-binary :all: -r "$CHECKOV_PINS" ||
    die "pip could not install deploy/azure/checks/requirements.txt ($(grep -m 1 -E '^ERROR' "$LOGS/checkov.log" | cut -c 1-160)): see $(short "$LOGS/checkov.log")"
  cksum <"$CHECKOV_PINS" >"$CHECKOV/pins"
}
