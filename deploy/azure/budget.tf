# Mails before the bill. A budget stops nothing: gpu_nodes_max and cpu_nodes.max bound what machines can cost.

locals {
  budget_alerts = {
    spent_80  = { percent = 80, of = "Actual" }
    spent_100 = { percent = 100, of = "Actual" }
    forecast  = { percent = 100, of = "Forecasted" }
  }
}

# Of the subscription, because the nodes are in a group of their own.
resource "azurerm_consumption_budget_subscription" "this" {
  count = var.budget_amount > 0 ? 1 : 0

  name            = "${var.name}-budget"
  subscription_id = "/subscriptions/${var.subscription_id}"
  amount          = var.budget_amount
  time_grain      = "Monthly"

  filter {
    dimension {
      name   = "ResourceGroupName"
      values = [azurerm_resource_group.this.name, azurerm_kubernetes_cluster.this.node_resource_group]
    }
  }

  time_period {
    start_date = "${var.budget_start}T00:00:00Z"
  }

  dynamic "notification" {
    for_each = local.budget_alerts
    content {
      operator       = "GreaterThanOrEqualTo"
      threshold      = notification.value.percent
      threshold_type = notification.value.of
      contact_emails = var.budget_emails
    }
  }
}
