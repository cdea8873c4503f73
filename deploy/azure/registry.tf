# Where the image is. Nodes pull with their own identity; there is no admin account and no anonymous pull.

resource "azurerm_container_registry" "this" {
  name                          = "${local.unique_flat}acr"
  resource_group_name           = azurerm_resource_group.this.name
  location                      = azurerm_resource_group.this.location
  sku                           = var.private ? "Premium" : "Standard"
  admin_enabled                 = false
  anonymous_pull_enabled        = false
  public_network_access_enabled = !var.private
  zone_redundancy_enabled       = var.private
  data_endpoint_enabled         = var.private
  retention_policy_in_days      = var.private ? 30 : null
  tags                          = local.tags
}

resource "azurerm_role_assignment" "pull" {
  scope                = azurerm_container_registry.this.id
  role_definition_name = "AcrPull"
  principal_id         = azurerm_user_assigned_identity.nodes.principal_id
  principal_type       = "ServicePrincipal"
}
