# What is made, with every call to Azure mocked: the configuration is evaluated against the real schema of the provider.
# Run by `make azure-validate`.

mock_provider "azurerm" {
  mock_data "azurerm_client_config" {
    defaults = {
      object_id = "77777777-7777-7777-7777-777777777777"
    }
  }

  mock_resource "azurerm_resource_group" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g"
    }
  }

  mock_resource "azurerm_virtual_network" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v"
    }
  }

  mock_resource "azurerm_subnet" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/s"
    }
  }

  mock_resource "azurerm_network_security_group" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/networkSecurityGroups/n"
    }
  }

  mock_resource "azurerm_network_ddos_protection_plan" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/ddosProtectionPlans/d"
    }
  }

  mock_resource "azurerm_user_assigned_identity" {
    defaults = {
      id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i"
      client_id    = "11111111-1111-1111-1111-111111111111"
      principal_id = "22222222-2222-2222-2222-222222222222"
      tenant_id    = "33333333-3333-3333-3333-333333333333"
    }
  }

  mock_resource "azurerm_kubernetes_cluster" {
    defaults = {
      id              = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/c"
      oidc_issuer_url = "https://oidc.example.net/issuer/"
    }
  }

  mock_resource "azurerm_container_registry" {
    defaults = {
      id           = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.ContainerRegistry/registries/r"
      login_server = "ondatest.azurecr.io"
    }
  }

  mock_resource "azurerm_key_vault" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.KeyVault/vaults/k"
    }
  }

  mock_resource "azurerm_servicebus_namespace" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.ServiceBus/namespaces/n"
    }
  }

  mock_resource "azurerm_servicebus_topic" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.ServiceBus/namespaces/n/topics/t"
    }
  }

  mock_resource "azurerm_servicebus_subscription" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.ServiceBus/namespaces/n/topics/t/subscriptions/s"
    }
  }

  mock_resource "azurerm_cosmosdb_account" {
    defaults = {
      id       = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.DocumentDB/databaseAccounts/a"
      endpoint = "https://onda-test-cosmos.documents.azure.com:443/"
    }
  }

  mock_resource "azurerm_storage_account" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/onda"
    }
  }

  mock_resource "azurerm_storage_container" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/onda/blobServices/default/containers/c"
    }
  }

  mock_resource "azurerm_log_analytics_workspace" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w"
    }
  }

  mock_resource "azurerm_monitor_workspace" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Monitor/accounts/m"
    }
  }

  mock_resource "azurerm_monitor_data_collection_endpoint" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Insights/dataCollectionEndpoints/e"
    }
  }

  mock_resource "azurerm_monitor_data_collection_rule" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Insights/dataCollectionRules/r"
    }
  }

  mock_resource "azurerm_dashboard_grafana" {
    defaults = {
      id       = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Dashboard/grafana/g"
      endpoint = "https://grafana.example.net"
      identity = {
        principal_id = "66666666-6666-6666-6666-666666666666"
        tenant_id    = "33333333-3333-3333-3333-333333333333"
      }
    }
  }

  mock_resource "azurerm_private_dns_zone" {
    defaults = {
      id = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/g/providers/Microsoft.Network/privateDnsZones/privatelink.example.net"
    }
  }
}

variables {
  subscription_id      = "00000000-0000-0000-0000-000000000000"
  tenant_id            = "33333333-3333-3333-3333-333333333333"
  suffix               = "test"
  authorized_ip_ranges = ["203.0.113.7/32"]
}

run "defaults_are_safe" {
  command = apply

  assert {
    condition     = azurerm_kubernetes_cluster.this.local_account_disabled
    error_message = "local accounts must be disabled"
  }

  assert {
    condition     = azurerm_kubernetes_cluster.this.azure_active_directory_role_based_access_control[0].azure_rbac_enabled
    error_message = "Azure RBAC must be on"
  }

  assert {
    condition     = azurerm_kubernetes_cluster.this.oidc_issuer_enabled && azurerm_kubernetes_cluster.this.workload_identity_enabled
    error_message = "workload identity must be on"
  }

  assert {
    condition     = azurerm_kubernetes_cluster.this.workload_autoscaler_profile[0].keda_enabled
    error_message = "KEDA must be on"
  }

  assert {
    condition     = azurerm_kubernetes_cluster.this.network_profile[0].network_policy == "cilium" && azurerm_kubernetes_cluster.this.network_profile[0].network_plugin_mode == "overlay"
    error_message = "network policies must be enforced by Cilium on the overlay"
  }

  assert {
    condition     = tolist(azurerm_kubernetes_cluster.this.api_server_access_profile[0].authorized_ip_ranges) == tolist(["203.0.113.7/32"])
    error_message = "the API server must be closed to all other addresses"
  }

  assert {
    condition     = azurerm_kubernetes_cluster.this.default_node_pool[0].only_critical_addons_enabled && azurerm_kubernetes_cluster.this.default_node_pool[0].auto_scaling_enabled
    error_message = "the system pool must be scaled, and Kubernetes' own"
  }

  assert {
    condition     = azurerm_kubernetes_cluster.this.automatic_upgrade_channel == "patch" && !azurerm_kubernetes_cluster.this.run_command_enabled
    error_message = "patches come by themselves, and nobody runs commands through Azure"
  }

  assert {
    condition     = length(azurerm_kubernetes_cluster_node_pool.gpu) == 0
    error_message = "there must be no GPU pool unless it is asked for"
  }

  assert {
    condition     = azurerm_kubernetes_cluster_extension.dapr.extension_type == "Microsoft.Dapr" && azurerm_kubernetes_cluster_extension.dapr.version == "1.18.1"
    error_message = "Dapr must be pinned"
  }

  assert {
    condition     = azurerm_kubernetes_cluster_extension.dapr.configuration_settings["global.ha.enabled"] == "true"
    error_message = "Dapr must be highly available"
  }

  assert {
    condition     = !azurerm_container_registry.this.admin_enabled && !azurerm_container_registry.this.anonymous_pull_enabled
    error_message = "the registry must know identities alone"
  }

  assert {
    condition     = azurerm_role_assignment.pull.principal_id == azurerm_user_assigned_identity.nodes.principal_id && azurerm_role_assignment.pull.role_definition_name == "AcrPull"
    error_message = "nodes must pull as themselves"
  }

  assert {
    condition     = azurerm_key_vault.this.purge_protection_enabled && azurerm_key_vault.this.rbac_authorization_enabled
    error_message = "the vault must be protected from purging, and use roles"
  }

  assert {
    condition     = azurerm_key_vault.this.network_acls[0].default_action == "Deny"
    error_message = "the vault must be closed to other networks"
  }

  assert {
    condition     = !azurerm_servicebus_namespace.this.local_auth_enabled
    error_message = "Service Bus must have no keys"
  }

  assert {
    condition     = toset(keys(azurerm_servicebus_topic.this)) == toset(["scoring.requests", "scoring.results", "scoring.deadletter"])
    error_message = "the three topics must be made"
  }

  assert {
    condition     = azurerm_servicebus_subscription.requests.name == "onda" && azurerm_servicebus_subscription.requests.max_delivery_count == 100
    error_message = "the subscription of the requests must be the app id's"
  }

  assert {
    condition     = azurerm_servicebus_subscription.dead_letters.name == "onda" && azurerm_servicebus_subscription.dead_letters.max_delivery_count == 2000
    error_message = "dead letters must be tried as often as Service Bus can"
  }

  assert {
    condition     = !azurerm_cosmosdb_account.this.local_authentication_enabled
    error_message = "Cosmos DB must have no keys"
  }

  assert {
    condition     = tolist(azurerm_cosmosdb_sql_container.state.partition_key_paths) == tolist(["/partitionKey"]) && azurerm_cosmosdb_sql_container.state.default_ttl == -1
    error_message = "the container must be as Dapr needs it, with a time to live"
  }

  assert {
    condition     = [for c in azurerm_cosmosdb_account.this.capabilities : c.name] == ["EnableServerless"]
    error_message = "the account must be serverless by default"
  }

  assert {
    condition     = !azurerm_storage_account.this.shared_access_key_enabled && !azurerm_storage_account.this.allow_nested_items_to_be_public
    error_message = "storage must have no keys and nothing public"
  }

  assert {
    condition     = azurerm_storage_account.this.blob_properties[0].versioning_enabled && azurerm_storage_account.this.blob_properties[0].delete_retention_policy[0].days == 30
    error_message = "blobs must be kept when they are overwritten or deleted"
  }

  assert {
    condition     = tolist(azurerm_storage_account.this.network_rules[0].ip_rules) == tolist(["203.0.113.7"])
    error_message = "storage takes an address without its /32"
  }

  assert {
    condition     = azurerm_federated_identity_credential.onda.subject == "system:serviceaccount:onda:onda" && azurerm_federated_identity_credential.onda.issuer == "https://oidc.example.net/issuer/"
    error_message = "the identity must trust Onda's service account"
  }

  assert {
    condition     = azurerm_federated_identity_credential.keda.subject == "system:serviceaccount:kube-system:keda-operator"
    error_message = "the identity must trust KEDA"
  }

  assert {
    condition     = length(azurerm_private_endpoint.this) == 0 && length(azurerm_network_ddos_protection_plan.this) == 0
    error_message = "what costs much must be off"
  }

  assert {
    condition     = length(azurerm_security_center_subscription_pricing.containers) == 0 && length(azurerm_consumption_budget_subscription.this) == 0
    error_message = "nothing of the whole subscription must change unasked"
  }
}

run "chart_values_have_the_shape_of_the_chart" {
  command = apply

  assert {
    condition     = toset(keys(output.chart_values)) == toset(["image", "azure", "serviceAccount"])
    error_message = "chart_values must have just these keys"
  }

  assert {
    condition     = output.chart_values.image == { repository = "ondatest.azurecr.io/onda" }
    error_message = "image.repository must be the registry's"
  }

  assert {
    condition     = output.chart_values.azure.workloadIdentity == { clientId = "11111111-1111-1111-1111-111111111111", tenantId = "33333333-3333-3333-3333-333333333333" }
    error_message = "workloadIdentity must be Onda's"
  }

  assert {
    condition     = output.chart_values.azure.keyVault == "onda-test-kv" && output.chart_values.azure.serviceBusNamespace == "onda-test-bus.servicebus.windows.net"
    error_message = "names must be those of the resources"
  }

  assert {
    condition     = output.chart_values.azure.cosmos == { url = "https://onda-test-cosmos.documents.azure.com:443/", database = "onda", collection = "state" }
    error_message = "cosmos must be the container's"
  }

  assert {
    condition     = output.chart_values.azure.storage == { account = "ondatestst", container = "models" }
    error_message = "storage must be the models' container"
  }

  assert {
    condition     = output.chart_values.serviceAccount.annotations["azure.workload.identity/client-id"] == "11111111-1111-1111-1111-111111111111"
    error_message = "the service account must carry the identity"
  }
}
