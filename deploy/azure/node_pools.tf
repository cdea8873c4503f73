# Pools of nodes for Onda and Dapr. Kubernetes' own pods have the system pool of cluster.tf.

locals {
  # Labels and taints that Azure itself puts on spot nodes; a configuration without them would fight with it.
  spot_labels = var.gpu_spot ? { "kubernetes.azure.com/scalesetpriority" = "spot" } : {}
  spot_taints = var.gpu_spot ? ["kubernetes.azure.com/scalesetpriority=spot:NoSchedule"] : []
}

resource "azurerm_kubernetes_cluster_node_pool" "cpu" {
  name                        = "cpu"
  kubernetes_cluster_id       = azurerm_kubernetes_cluster.this.id
  mode                        = "User"
  vm_size                     = var.cpu_vm_size
  vnet_subnet_id              = azurerm_subnet.nodes.id
  auto_scaling_enabled        = true
  min_count                   = var.cpu_nodes.min
  max_count                   = var.cpu_nodes.max
  max_pods                    = 60
  zones                       = var.zones
  os_sku                      = "AzureLinux"
  os_disk_type                = "Ephemeral"
  os_disk_size_gb             = 128
  host_encryption_enabled     = var.host_encryption
  node_labels                 = { "onda/pool" = "cpu" }
  temporary_name_for_rotation = "cputmp"
  tags                        = local.tags

  upgrade_settings {
    max_surge                     = "1"
    drain_timeout_in_minutes      = 10
    node_soak_duration_in_minutes = 1
  }

  lifecycle {
    ignore_changes = [node_count, orchestrator_version]
  }
}

# None of its nodes is there while no pod asks for a GPU. The taint keeps everybody else off it; Azure labels the nodes
# kubernetes.azure.com/accelerator=nvidia, which the chart's GPU values select. Ubuntu, because Azure installs NVIDIA's
# driver there for every one of these sizes; the device plugin is deploy/azure/gpu.
resource "azurerm_kubernetes_cluster_node_pool" "gpu" {
  count = var.gpu_enabled ? 1 : 0

  name                        = "gpu"
  kubernetes_cluster_id       = azurerm_kubernetes_cluster.this.id
  mode                        = "User"
  vm_size                     = var.gpu_vm_size
  vnet_subnet_id              = azurerm_subnet.nodes.id
  auto_scaling_enabled        = true
  min_count                   = 0
  max_count                   = var.gpu_nodes_max
  max_pods                    = 60
  zones                       = var.zones
  os_sku                      = "Ubuntu"
  gpu_driver                  = "Install"
  os_disk_size_gb             = 128
  host_encryption_enabled     = var.host_encryption
  priority                    = var.gpu_spot ? "Spot" : "Regular"
  eviction_policy             = var.gpu_spot ? "Delete" : null
  spot_max_price              = var.gpu_spot ? -1 : null
  node_labels                 = merge({ "onda/pool" = "gpu" }, local.spot_labels)
  node_taints                 = concat(["sku=gpu:NoSchedule"], local.spot_taints)
  temporary_name_for_rotation = "gputmp"
  tags                        = local.tags

  # No surge: a GPU beyond gpu_nodes_max would need quota that nobody asked for. Spot nodes are not upgraded in place.
  dynamic "upgrade_settings" {
    for_each = var.gpu_spot ? [] : [1]
    content {
      max_unavailable               = "1"
      drain_timeout_in_minutes      = 10
      node_soak_duration_in_minutes = 1
    }
  }

  lifecycle {
    ignore_changes = [node_count, orchestrator_version]
  }
}
