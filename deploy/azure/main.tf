# The resource group that holds all of it, and the names.

# The one who applies.
data "azurerm_client_config" "current" {}

locals {
  # Names that must be unique in all of Azure, and stay the same from one run to the next.
  suffix      = var.suffix != "" ? var.suffix : substr(sha256("${var.subscription_id}/${var.name}"), 0, 6)
  unique      = "${var.name}-${local.suffix}"
  unique_flat = "${var.name}${local.suffix}"

  tags = merge(var.tags, { application = "onda" })

  ddos_plan_id = var.ddos_protection_plan_id != "" ? var.ddos_protection_plan_id : one(azurerm_network_ddos_protection_plan.this[*].id) != null ? one(azurerm_network_ddos_protection_plan.this[*].id) : ""

  # Those who write secrets, models and inputs, and look at Grafana.
  operators = setunion(var.operator_object_ids, [data.azurerm_client_config.current.object_id])

  # Firewalls of the services: open, or closed but for the nodes and these addresses.
  open = var.open_to_internet && !var.private
}

resource "azurerm_resource_group" "this" {
  name     = "${var.name}-rg"
  location = var.location
  tags     = local.tags
}
