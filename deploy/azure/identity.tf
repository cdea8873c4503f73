# Who Onda is: one managed identity, which its pods become with the token of their service account. There is no secret.

resource "azurerm_user_assigned_identity" "onda" {
  name                = "${var.name}-workload"
  resource_group_name = azurerm_resource_group.this.name
  location            = azurerm_resource_group.this.location
  tags                = local.tags
}

resource "azurerm_federated_identity_credential" "onda" {
  name                      = "onda"
  user_assigned_identity_id = azurerm_user_assigned_identity.onda.id
  audience                  = ["api://AzureADTokenExchange"]
  issuer                    = azurerm_kubernetes_cluster.this.oidc_issuer_url
  subject                   = "system:serviceaccount:${var.namespace}:${var.service_account}"
}

# KEDA becomes it too, to see how many events wait. It scales this cluster alone. One after the other: Azure refuses two
# changes of an identity's credentials at once.
resource "azurerm_federated_identity_credential" "keda" {
  name                      = "keda"
  user_assigned_identity_id = azurerm_user_assigned_identity.onda.id
  audience                  = ["api://AzureADTokenExchange"]
  issuer                    = azurerm_kubernetes_cluster.this.oidc_issuer_url
  subject                   = "system:serviceaccount:kube-system:keda-operator"

  depends_on = [azurerm_federated_identity_credential.onda]
}
