# The events. Topics and subscriptions are made here and not by the sidecars: where replicas scale to zero nobody else is
# there to make them, and Onda's identity needs no right to manage. Settings of the subscriptions are those that
# components/azure-servicebus explains; the sidecar's own are not used.

locals {
  topics = toset([var.topic, var.results_topic, var.dead_letter_topic])
}

resource "azurerm_servicebus_namespace" "this" {
  name                          = "${local.unique}-bus"
  resource_group_name           = azurerm_resource_group.this.name
  location                      = azurerm_resource_group.this.location
  sku                           = var.service_bus_sku
  capacity                      = var.service_bus_sku == "Premium" ? 1 : 0
  premium_messaging_partitions  = var.service_bus_sku == "Premium" ? 1 : 0
  local_auth_enabled            = false
  minimum_tls_version           = "1.2"
  public_network_access_enabled = !var.private
  tags                          = local.tags

  # Only the Premium tier has a firewall.
  dynamic "network_rule_set" {
    for_each = var.service_bus_sku == "Premium" ? [1] : []
    content {
      default_action                = local.open ? "Allow" : "Deny"
      public_network_access_enabled = !var.private
      trusted_services_allowed      = true
      ip_rules                      = local.open || var.private ? [] : var.authorized_ip_ranges

      dynamic "network_rules" {
        for_each = local.open || var.private ? [] : [azurerm_subnet.nodes.id]
        content {
          subnet_id = network_rules.value
        }
      }
    }
  }
}

resource "azurerm_servicebus_topic" "this" {
  for_each = local.topics

  name                       = each.value
  namespace_id               = azurerm_servicebus_namespace.this.id
  batched_operations_enabled = true
}

resource "azurerm_servicebus_subscription" "requests" {
  name                                 = var.app_id
  topic_id                             = azurerm_servicebus_topic.this[var.topic].id
  lock_duration                        = "PT1M"
  max_delivery_count                   = var.max_delivery_count
  dead_lettering_on_message_expiration = true
  batched_operations_enabled           = true
}

# Onda keeps dead letters itself. They have nowhere else to go: as many deliveries as Service Bus has.
resource "azurerm_servicebus_subscription" "dead_letters" {
  name                                 = var.app_id
  topic_id                             = azurerm_servicebus_topic.this[var.dead_letter_topic].id
  lock_duration                        = "PT1M"
  max_delivery_count                   = 2000
  dead_lettering_on_message_expiration = true
  batched_operations_enabled           = true
}

resource "azurerm_servicebus_subscription" "results" {
  for_each = var.result_subscribers

  name                       = each.value
  topic_id                   = azurerm_servicebus_topic.this[var.results_topic].id
  lock_duration              = "PT1M"
  max_delivery_count         = var.max_delivery_count
  batched_operations_enabled = true
}

resource "azurerm_role_assignment" "send" {
  for_each = local.topics

  scope                = azurerm_servicebus_topic.this[each.value].id
  role_definition_name = "Azure Service Bus Data Sender"
  principal_id         = azurerm_user_assigned_identity.onda.principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_role_assignment" "receive" {
  for_each = toset([var.topic, var.dead_letter_topic])

  scope                = azurerm_servicebus_topic.this[each.value].id
  role_definition_name = "Azure Service Bus Data Receiver"
  principal_id         = azurerm_user_assigned_identity.onda.principal_id
  principal_type       = "ServicePrincipal"
}

# KEDA counts what waits, which Service Bus calls managing: of this one subscription alone.
resource "azurerm_role_assignment" "count" {
  scope                = azurerm_servicebus_subscription.requests.id
  role_definition_name = "Azure Service Bus Data Owner"
  principal_id         = azurerm_user_assigned_identity.onda.principal_id
  principal_type       = "ServicePrincipal"
}
