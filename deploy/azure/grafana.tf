# The managed Grafana, with the metrics as its data source.

resource "azurerm_dashboard_grafana" "this" {
  count = var.grafana_enabled ? 1 : 0

  name                          = "${local.unique}-graf"
  resource_group_name           = azurerm_resource_group.this.name
  location                      = azurerm_resource_group.this.location
  grafana_major_version         = "12"
  sku                           = "Standard"
  api_key_enabled               = false
  public_network_access_enabled = !var.private
  tags                          = local.tags

  identity {
    type = "SystemAssigned"
  }

  azure_monitor_workspace_integrations {
    resource_id = azurerm_monitor_workspace.this.id
  }
}

resource "azurerm_role_assignment" "grafana_metrics" {
  count = var.grafana_enabled ? 1 : 0

  scope                = azurerm_monitor_workspace.this.id
  role_definition_name = "Monitoring Data Reader"
  principal_id         = azurerm_dashboard_grafana.this[0].identity[0].principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_role_assignment" "grafana_admin" {
  for_each = var.grafana_enabled ? local.operators : toset([])

  scope                = azurerm_dashboard_grafana.this[0].id
  role_definition_name = "Grafana Admin"
  principal_id         = each.value
}
