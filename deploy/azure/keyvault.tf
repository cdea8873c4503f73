# Secrets that are not an identity's: tokens, passwords of other brokers. Roles say who reads and who writes.

resource "azurerm_key_vault" "this" {
  name                          = "${local.unique}-kv"
  resource_group_name           = azurerm_resource_group.this.name
  location                      = azurerm_resource_group.this.location
  tenant_id                     = var.tenant_id
  sku_name                      = "standard"
  rbac_authorization_enabled    = true
  purge_protection_enabled      = true
  soft_delete_retention_days    = var.deleted_retention_days
  public_network_access_enabled = !var.private
  tags                          = local.tags

  network_acls {
    default_action             = local.open ? "Allow" : "Deny"
    bypass                     = "AzureServices"
    ip_rules                   = local.open || var.private ? [] : var.authorized_ip_ranges
    virtual_network_subnet_ids = local.open || var.private ? [] : [azurerm_subnet.nodes.id]
  }
}

resource "azurerm_role_assignment" "vault_read" {
  scope                = azurerm_key_vault.this.id
  role_definition_name = "Key Vault Secrets User"
  principal_id         = azurerm_user_assigned_identity.onda.principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_role_assignment" "vault_write" {
  for_each = local.operators

  scope                = azurerm_key_vault.this.id
  role_definition_name = "Key Vault Secrets Officer"
  principal_id         = each.value
}
