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

run "gpu_pool_costs_nothing_while_idle" {
  command = apply

  variables {
    gpu_enabled = true
  }

  assert {
    condition     = azurerm_kubernetes_cluster_node_pool.gpu[0].min_count == 0 && azurerm_kubernetes_cluster_node_pool.gpu[0].max_count == 1 && azurerm_kubernetes_cluster_node_pool.gpu[0].auto_scaling_enabled
    error_message = "the GPU pool must scale to none"
  }

  assert {
    condition     = tolist(azurerm_kubernetes_cluster_node_pool.gpu[0].node_taints) == tolist(["sku=gpu:NoSchedule"])
    error_message = "the GPU pool must keep others off"
  }

  assert {
    condition     = azurerm_kubernetes_cluster_node_pool.gpu[0].node_labels["onda/pool"] == "gpu" && azurerm_kubernetes_cluster_node_pool.gpu[0].mode == "User" && azurerm_kubernetes_cluster_node_pool.gpu[0].priority == "Regular"
    error_message = "the GPU pool must be labelled"
  }

  assert {
    condition     = output.quotas == { standardDDSv5Family = 56, "Standard NCASv3_T4 Family" = 4 }
    error_message = "the quotas must be those that up.sh asks for"
  }
}

run "gpu_pool_of_spot_machines" {
  command = apply

  variables {
    gpu_enabled = true
    gpu_spot    = true
  }

  assert {
    condition     = azurerm_kubernetes_cluster_node_pool.gpu[0].priority == "Spot" && azurerm_kubernetes_cluster_node_pool.gpu[0].eviction_policy == "Delete" && azurerm_kubernetes_cluster_node_pool.gpu[0].spot_max_price == -1
    error_message = "spot machines must be deleted when they are taken away"
  }

  assert {
    condition     = length(azurerm_kubernetes_cluster_node_pool.gpu[0].node_taints) == 2
    error_message = "spot nodes must carry the taint that Azure gives them"
  }
}

run "private_closes_everything" {
  command = apply

  variables {
    private              = true
    service_bus_sku      = "Premium"
    authorized_ip_ranges = []
  }

  assert {
    condition     = azurerm_kubernetes_cluster.this.private_cluster_enabled
    error_message = "the API server must be private"
  }

  assert {
    condition     = !azurerm_container_registry.this.public_network_access_enabled && azurerm_container_registry.this.sku == "Premium"
    error_message = "the registry must be private"
  }

  assert {
    condition     = !azurerm_key_vault.this.public_network_access_enabled && !azurerm_storage_account.this.public_network_access_enabled
    error_message = "vault and storage must be private"
  }

  assert {
    condition     = !azurerm_cosmosdb_account.this.public_network_access_enabled && !azurerm_servicebus_namespace.this.public_network_access_enabled
    error_message = "Cosmos DB and Service Bus must be private"
  }

  assert {
    condition     = toset(keys(azurerm_private_endpoint.this)) == toset(["registry", "vault", "storage", "cosmos", "events"])
    error_message = "each service must have an endpoint"
  }

  assert {
    condition     = azurerm_private_dns_zone.this["cosmos"].name == "privatelink.documents.azure.com"
    error_message = "each endpoint must have its zone"
  }
}

run "budget_and_options" {
  command = apply

  variables {
    budget_amount            = 500
    budget_emails            = ["you@example.com"]
    budget_start             = "2027-01-01"
    ddos_protection          = true
    defender_plan            = true
    grafana_enabled          = false
    cosmos_autoscale_max_rus = 4000
    result_subscribers       = ["shop"]
  }

  assert {
    condition     = azurerm_consumption_budget_subscription.this[0].amount == 500 && length(azurerm_consumption_budget_subscription.this[0].notification) == 3
    error_message = "the budget must send three mails"
  }

  assert {
    condition     = length(azurerm_virtual_network.this.ddos_protection_plan) == 1
    error_message = "the network must have the plan"
  }

  assert {
    condition     = azurerm_security_center_subscription_pricing.containers[0].tier == "Standard"
    error_message = "Defender's plan must be on"
  }

  assert {
    condition     = length(azurerm_dashboard_grafana.this) == 0 && output.grafana == ""
    error_message = "there must be no Grafana"
  }

  assert {
    condition     = azurerm_cosmosdb_sql_container.state.autoscale_settings[0].max_throughput == 4000 && length(azurerm_cosmosdb_account.this.capabilities) == 0
    error_message = "the container must be autoscaled"
  }

  assert {
    condition     = keys(azurerm_servicebus_subscription.results) == ["shop"]
    error_message = "each reader of results must have a subscription"
  }
}

run "nobody_named_is_refused" {
  command = plan

  variables {
    authorized_ip_ranges = []
  }

  expect_failures = [var.open_to_internet]
}

run "the_whole_internet_is_refused" {
  command = plan

  variables {
    authorized_ip_ranges = ["0.0.0.0/0"]
  }

  expect_failures = [var.authorized_ip_ranges]
}

run "private_with_standard_service_bus_is_refused" {
  command = plan

  variables {
    private = true
  }

  expect_failures = [var.service_bus_sku]
}

run "amd_gpus_are_refused" {
  command = plan

  variables {
    gpu_vm_size = "Standard_NV4ads_V710_v5"
  }

  expect_failures = [var.gpu_vm_size]
}

run "a_floating_dapr_is_refused" {
  command = plan

  variables {
    dapr_version = "latest"
  }

  expect_failures = [var.dapr_version]
}

run "a_budget_without_mail_is_refused" {
  command = plan

  variables {
    budget_amount = 10
    budget_start  = "2027-01-01"
  }

  expect_failures = [var.budget_amount]
}
