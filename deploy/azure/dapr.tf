# Dapr, as AKS's extension. With a version given, Azure upgrades nothing by itself.

resource "azurerm_kubernetes_cluster_extension" "dapr" {
  name              = "dapr"
  cluster_id        = azurerm_kubernetes_cluster.this.id
  extension_type    = "Microsoft.Dapr"
  release_namespace = "dapr-system"
  version           = var.dapr_version

  configuration_settings = {
    "global.ha.enabled"   = "true"
    "global.mtls.enabled" = "true"
    "global.logAsJson"    = "true"
    # Onda's namespace enforces the restricted pod security standard, which a sidecar must meet too.
    "dapr_sidecar_injector.sidecarDropALLCapabilities"    = "true"
    "dapr_sidecar_injector.sidecarRunAsNonRoot"           = "true"
    "dapr_sidecar_injector.sidecarReadOnlyRootFilesystem" = "true"
  }

  # Its pods do not tolerate the taint of the system pool: they run on CPU nodes.
  depends_on = [azurerm_kubernetes_cluster_node_pool.cpu]
}
