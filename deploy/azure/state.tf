# The registry, answers that were given, and dead letters: Dapr's state store on Cosmos DB.

locals {
  serverless = var.cosmos_autoscale_max_rus == 0
}

resource "azurerm_cosmosdb_account" "this" {
  name                               = "${local.unique}-cosmos"
  resource_group_name                = azurerm_resource_group.this.name
  location                           = azurerm_resource_group.this.location
  offer_type                         = "Standard"
  kind                               = "GlobalDocumentDB"
  local_authentication_enabled       = false
  access_key_metadata_writes_enabled = false
  public_network_access_enabled      = !var.private
  is_virtual_network_filter_enabled  = !local.open && !var.private
  ip_range_filter                    = local.open || var.private ? [] : var.authorized_ip_ranges
  tags                               = local.tags

  # One region: what a replica wrote, the next one reads. Strong costs twice as much for a read and no more time.
  consistency_policy {
    consistency_level = "Strong"
  }

  geo_location {
    location          = azurerm_resource_group.this.location
    failover_priority = 0
  }

  backup {
    type = "Continuous"
    tier = "Continuous7Days"
  }

  dynamic "capabilities" {
    for_each = local.serverless ? ["EnableServerless"] : []
    content {
      name = capabilities.value
    }
  }

  dynamic "virtual_network_rule" {
    for_each = local.open || var.private ? [] : [azurerm_subnet.nodes.id]
    content {
      id = virtual_network_rule.value
    }
  }
}

resource "azurerm_cosmosdb_sql_database" "this" {
  name                = "onda"
  resource_group_name = azurerm_resource_group.this.name
  account_name        = azurerm_cosmosdb_account.this.name
}

resource "azurerm_cosmosdb_sql_container" "state" {
  name                  = "state"
  resource_group_name   = azurerm_resource_group.this.name
  account_name          = azurerm_cosmosdb_account.this.name
  database_name         = azurerm_cosmosdb_sql_database.this.name
  partition_key_paths   = ["/partitionKey"]
  partition_key_version = 2

  # -1: items live for ever unless they bring a time of their own, as answers and dead letters do.
  default_ttl = -1

  dynamic "autoscale_settings" {
    for_each = local.serverless ? [] : [1]
    content {
      max_throughput = var.cosmos_autoscale_max_rus
    }
  }
}

# Cosmos DB's own role "Data Contributor": items of this one container, and no keys.
resource "azurerm_cosmosdb_sql_role_assignment" "onda" {
  resource_group_name = azurerm_resource_group.this.name
  account_name        = azurerm_cosmosdb_account.this.name
  role_definition_id  = "${azurerm_cosmosdb_account.this.id}/sqlRoleDefinitions/00000000-0000-0000-0000-000000000002"
  principal_id        = azurerm_user_assigned_identity.onda.principal_id
  scope               = "${azurerm_cosmosdb_account.this.id}/dbs/${azurerm_cosmosdb_sql_database.this.name}/colls/${azurerm_cosmosdb_sql_container.state.name}"
}
