# Private endpoints: with private = true, the services have addresses of the virtual network and no others.

locals {
  endpoints = var.private ? {
    registry = { id = azurerm_container_registry.this.id, kind = "registry", zone = "privatelink.azurecr.io" }
    vault    = { id = azurerm_key_vault.this.id, kind = "vault", zone = "privatelink.vaultcore.azure.net" }
    storage  = { id = azurerm_storage_account.this.id, kind = "blob", zone = "privatelink.blob.core.windows.net" }
    cosmos   = { id = azurerm_cosmosdb_account.this.id, kind = "Sql", zone = "privatelink.documents.azure.com" }
    events   = { id = azurerm_servicebus_namespace.this.id, kind = "namespace", zone = "privatelink.servicebus.windows.net" }
  } : {}
}

resource "azurerm_private_dns_zone" "this" {
  for_each = local.endpoints

  name                = each.value.zone
  resource_group_name = azurerm_resource_group.this.name
  tags                = local.tags
}

resource "azurerm_private_dns_zone_virtual_network_link" "this" {
  for_each = local.endpoints

  name                = each.key
  private_dns_zone_id = azurerm_private_dns_zone.this[each.key].id
  virtual_network_id  = azurerm_virtual_network.this.id
  tags                = local.tags
}

resource "azurerm_private_endpoint" "this" {
  for_each = local.endpoints

  name                = "${var.name}-${each.key}"
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  subnet_id           = azurerm_subnet.endpoints.id
  tags                = local.tags

  private_service_connection {
    name                           = each.key
    private_connection_resource_id = each.value.id
    subresource_names              = [each.value.kind]
    is_manual_connection           = false
  }

  private_dns_zone_group {
    name                 = each.key
    private_dns_zone_ids = [azurerm_private_dns_zone.this[each.key].id]
  }
}
