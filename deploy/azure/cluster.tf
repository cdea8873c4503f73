# The cluster. People and pods are known by Entra ID alone: there are no local accounts, and Azure's roles say who may what.

resource "azurerm_user_assigned_identity" "cluster" {
  name                = "${var.name}-cluster"
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  tags                = local.tags
}

# The control plane puts load balancers into the subnet of the nodes.
resource "azurerm_role_assignment" "cluster_network" {
  scope                = azurerm_subnet.nodes.id
  role_definition_name = "Network Contributor"
  principal_id         = azurerm_user_assigned_identity.cluster.principal_id
  principal_type       = "ServicePrincipal"
}

# Who the nodes are: what pulls images.
resource "azurerm_user_assigned_identity" "nodes" {
  name                = "${var.name}-nodes"
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  tags                = local.tags
}

# The control plane gives the nodes their identity.
resource "azurerm_role_assignment" "cluster_nodes" {
  scope                = azurerm_user_assigned_identity.nodes.id
  role_definition_name = "Managed Identity Operator"
  principal_id         = azurerm_user_assigned_identity.cluster.principal_id
  principal_type       = "ServicePrincipal"
}

resource "azurerm_kubernetes_cluster" "this" {
  name                = "${var.name}-aks"
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  node_resource_group = "${var.name}-nodes-rg"
  dns_prefix          = local.unique
  kubernetes_version  = var.kubernetes_version
  sku_tier            = var.cluster_sku_tier
  tags                = local.tags

  # Patches come by themselves, in the night to Sunday; minor versions when kubernetes_version says so.
  automatic_upgrade_channel = "patch"
  node_os_upgrade_channel   = "NodeImage"

  local_account_disabled            = true
  role_based_access_control_enabled = true
  oidc_issuer_enabled               = true
  workload_identity_enabled         = true
  azure_policy_enabled              = true
  image_cleaner_enabled             = true
  image_cleaner_interval_hours      = 168
  run_command_enabled               = var.private

  private_cluster_enabled             = var.private
  private_cluster_public_fqdn_enabled = false

  azure_active_directory_role_based_access_control {
    azure_rbac_enabled     = true
    tenant_id              = var.tenant_id
    admin_group_object_ids = var.cluster_admin_group_ids
  }

  dynamic "api_server_access_profile" {
    for_each = var.private || local.open ? [] : [1]
    content {
      authorized_ip_ranges = var.authorized_ip_ranges
    }
  }

  identity {
    type         = "UserAssigned"
    identity_ids = [azurerm_user_assigned_identity.cluster.id]
  }

  kubelet_identity {
    client_id                 = azurerm_user_assigned_identity.nodes.client_id
    object_id                 = azurerm_user_assigned_identity.nodes.principal_id
    user_assigned_identity_id = azurerm_user_assigned_identity.nodes.id
  }

  network_profile {
    network_plugin      = "azure"
    network_plugin_mode = "overlay"
    network_data_plane  = "cilium"
    network_policy      = "cilium"
    load_balancer_sku   = "standard"
    pod_cidr            = var.pod_cidr
    service_cidr        = var.service_cidr
    dns_service_ip      = cidrhost(var.service_cidr, 10)
  }

  # Pools are those of this configuration; Azure chooses no machines by itself.
  node_provisioning_profile {
    mode = "Manual"
  }

  default_node_pool {
    name                         = "system"
    vm_size                      = var.system_vm_size
    vnet_subnet_id               = azurerm_subnet.nodes.id
    auto_scaling_enabled         = true
    min_count                    = var.system_nodes.min
    max_count                    = var.system_nodes.max
    max_pods                     = 60
    zones                        = var.zones
    os_sku                       = "AzureLinux"
    os_disk_type                 = "Ephemeral"
    os_disk_size_gb              = 128
    host_encryption_enabled      = var.host_encryption
    only_critical_addons_enabled = true
    temporary_name_for_rotation  = "systemtmp"
    tags                         = local.tags

    upgrade_settings {
      max_surge                     = "1"
      drain_timeout_in_minutes      = 10
      node_soak_duration_in_minutes = 1
    }
  }

  auto_scaler_profile {
    # GPU nodes are the dear ones: they go soon after they are not needed.
    expander                         = "least-waste"
    scale_down_unneeded              = "5m"
    scale_down_delay_after_add       = "5m"
    balance_similar_node_groups      = true
    skip_nodes_with_local_storage    = false
    skip_nodes_with_system_pods      = true
    scale_down_utilization_threshold = "0.5"
  }

  workload_autoscaler_profile {
    keda_enabled = true
  }

  key_vault_secrets_provider {
    secret_rotation_enabled = true
  }

  monitor_metrics {
    annotations_allowed = null
    labels_allowed      = null
  }

  oms_agent {
    log_analytics_workspace_id      = azurerm_log_analytics_workspace.this.id
    msi_auth_for_monitoring_enabled = true
  }

  dynamic "microsoft_defender" {
    for_each = var.defender_enabled ? [1] : []
    content {
      log_analytics_workspace_id = azurerm_log_analytics_workspace.this.id
    }
  }

  maintenance_window_auto_upgrade {
    frequency   = "Weekly"
    interval    = 1
    day_of_week = "Sunday"
    start_time  = "01:00"
    utc_offset  = "+00:00"
    duration    = 4
  }

  maintenance_window_node_os {
    frequency   = "Weekly"
    interval    = 1
    day_of_week = "Sunday"
    start_time  = "01:00"
    utc_offset  = "+00:00"
    duration    = 4
  }

  lifecycle {
    # The autoscaler's number; the rest is what the channel patch moves.
    ignore_changes = [default_node_pool[0].node_count, default_node_pool[0].orchestrator_version]
  }

  depends_on = [azurerm_role_assignment.cluster_network, azurerm_role_assignment.cluster_nodes, azurerm_role_assignment.pull, azurerm_subnet_network_security_group_association.nodes]
}

# With no group of admins, the one who applies: nobody else could do anything.
resource "azurerm_role_assignment" "cluster_admin" {
  count = length(var.cluster_admin_group_ids) == 0 ? 1 : 0

  scope                = azurerm_kubernetes_cluster.this.id
  role_definition_name = "Azure Kubernetes Service RBAC Cluster Admin"
  principal_id         = data.azurerm_client_config.current.object_id
}
