# What is watched: Defender's plan, and the logs of who did what.

resource "azurerm_security_center_subscription_pricing" "containers" {
  count = var.defender_plan ? 1 : 0

  resource_type = "Containers"
  tier          = "Standard"
}

# Who changed what in the cluster, without reads: those would be most of the volume.
resource "azurerm_monitor_diagnostic_setting" "cluster" {
  name                           = "audit"
  target_resource_id             = azurerm_kubernetes_cluster.this.id
  log_analytics_workspace_id     = azurerm_log_analytics_workspace.this.id
  log_analytics_destination_type = "Dedicated"

  dynamic "enabled_log" {
    for_each = toset(["kube-audit-admin", "guard", "cluster-autoscaler"])
    content {
      category = enabled_log.value
    }
  }
}

# Who read and wrote secrets.
resource "azurerm_monitor_diagnostic_setting" "vault" {
  name                       = "audit"
  target_resource_id         = azurerm_key_vault.this.id
  log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id

  enabled_log {
    category = "AuditEvent"
  }
}
