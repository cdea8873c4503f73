# Models that were uploaded, and inputs that events refer to. No keys, nothing public; what was deleted or overwritten can
# be brought back.

resource "azurerm_storage_account" "this" {
  name                             = "${local.unique_flat}st"
  resource_group_name              = azurerm_resource_group.this.name
  location                         = azurerm_resource_group.this.location
  account_kind                     = "StorageV2"
  account_tier                     = "Standard"
  account_replication_type         = var.storage_replication
  min_tls_version                  = "TLS1_2"
  https_traffic_only_enabled       = true
  shared_access_key_enabled        = false
  default_to_oauth_authentication  = true
  local_user_enabled               = false
  allow_nested_items_to_be_public  = false
  cross_tenant_replication_enabled = false
  allowed_copy_scope               = "AAD"
  public_network_access_enabled    = !var.private
  tags                             = local.tags

  # With keys switched off there is none to sign with; it says what would happen if somebody switched them on.
  sas_policy {
    expiration_period = "01.00:00:00"
    expiration_action = "Block"
  }

  blob_properties {
    versioning_enabled = true

    delete_retention_policy {
      days = var.deleted_retention_days
    }

    container_delete_retention_policy {
      days = var.deleted_retention_days
    }
  }

  # Storage takes single addresses without /32.
  network_rules {
    default_action             = local.open ? "Allow" : "Deny"
    bypass                     = ["AzureServices"]
    ip_rules                   = local.open || var.private ? [] : [for r in var.authorized_ip_ranges : trimsuffix(r, "/32")]
    virtual_network_subnet_ids = local.open || var.private ? [] : [azurerm_subnet.nodes.id]
  }
}

resource "azurerm_storage_container" "this" {
  for_each = toset(["models", "inputs"])

  name                  = each.value
  storage_account_id    = azurerm_storage_account.this.id
  container_access_type = "private"
}

# Old versions of what was overwritten go after the same time as what was deleted.
resource "azurerm_storage_management_policy" "this" {
  storage_account_id = azurerm_storage_account.this.id

  rule {
    name    = "old-versions"
    enabled = true
    filters {
      blob_types = ["blockBlob"]
    }
    actions {
      version {
        delete_after_days_since_creation = var.deleted_retention_days
      }
    }
  }
}

resource "azurerm_role_assignment" "models" {
  scope                = azurerm_storage_container.this["models"].id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = azurerm_user_assigned_identity.onda.principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_role_assignment" "inputs" {
  scope                = azurerm_storage_container.this["inputs"].id
  role_definition_name = "Storage Blob Data Reader"
  principal_id         = azurerm_user_assigned_identity.onda.principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_role_assignment" "blobs_write" {
  for_each = local.operators

  scope                = azurerm_storage_account.this.id
  role_definition_name = "Storage Blob Data Contributor"
  principal_id         = each.value
}
