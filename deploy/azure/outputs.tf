# What deploy.sh and status.sh read.

output "chart_values" {
  description = "Values of the chart that only Azure knows: deploy.sh writes them to .local/azure/values.json."
  value = {
    image = { repository = "${azurerm_container_registry.this.login_server}/onda" }
    azure = {
      workloadIdentity = {
        clientId = azurerm_user_assigned_identity.onda.client_id
        tenantId = azurerm_user_assigned_identity.onda.tenant_id
      }
      keyVault            = azurerm_key_vault.this.name
      serviceBusNamespace = "${azurerm_servicebus_namespace.this.name}.servicebus.windows.net"
      cosmos = {
        url        = azurerm_cosmosdb_account.this.endpoint
        database   = azurerm_cosmosdb_sql_database.this.name
        collection = azurerm_cosmosdb_sql_container.state.name
      }
      storage = {
        account   = azurerm_storage_account.this.name
        container = azurerm_storage_container.this["models"].name
      }
    }
    serviceAccount = {
      annotations = {
        "azure.workload.identity/client-id" = azurerm_user_assigned_identity.onda.client_id
        "azure.workload.identity/tenant-id" = azurerm_user_assigned_identity.onda.tenant_id
      }
    }
  }
}

output "resource_group" {
  description = "Resource group of everything but the nodes."
  value       = azurerm_resource_group.this.name
}

output "cluster_name" {
  description = "Name of the AKS cluster."
  value       = azurerm_kubernetes_cluster.this.name
}

output "cluster_id" {
  description = "Resource id of the AKS cluster, for deploy/monitoring/azure."
  value       = azurerm_kubernetes_cluster.this.id
}

output "registry" {
  description = "Name of the container registry."
  value       = azurerm_container_registry.this.name
}

output "registry_server" {
  description = "Host of the container registry."
  value       = azurerm_container_registry.this.login_server
}

output "key_vault" {
  description = "Name of the Key Vault."
  value       = azurerm_key_vault.this.name
}

output "namespace" {
  description = "Kubernetes namespace that the identity trusts."
  value       = var.namespace
}

output "service_account" {
  description = "Kubernetes service account that the identity trusts."
  value       = var.service_account
}

output "gpu_enabled" {
  description = "Whether there is a GPU pool."
  value       = var.gpu_enabled
}

output "private" {
  description = "Whether the services are reached by private endpoints alone."
  value       = var.private
}

output "metrics_workspace_id" {
  description = "Resource id of the Azure Monitor workspace, for deploy/monitoring/azure."
  value       = azurerm_monitor_workspace.this.id
}

output "metrics_endpoint" {
  description = "Address of the managed Prometheus, for KEDA's trigger on onda_saturation."
  value       = azurerm_monitor_workspace.this.query_endpoint
}

output "grafana" {
  description = "Address of Grafana; empty where there is none."
  value       = var.grafana_enabled ? azurerm_dashboard_grafana.this[0].endpoint : ""
}

output "quotas" {
  description = "Cores of each quota family that the pools may take at their largest, one node more of each while they are upgraded. up.sh holds the same against the quotas."
  value = merge(
    { (var.cpu_vm_family) = (var.system_nodes.max + var.cpu_nodes.max + 2) * var.cpu_vm_cores },
    var.gpu_enabled ? { (var.gpu_spot ? "lowPriorityCores" : var.gpu_vm_family) = var.gpu_nodes_max * var.gpu_vm_cores } : {},
  )
}
