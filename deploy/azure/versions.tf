# Exact versions: there is no lock file, because its hashes are those of the registry's signed releases, and `tofu init`
# writes them on the machine that applies. Commit .terraform.lock.hcl in the repository of your own environment.
terraform {
  required_version = ">= 1.9.0"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = "5.2.0"
    }
  }
}

provider "azurerm" {
  subscription_id = var.subscription_id

  # Data-plane calls to the storage account as the person who applies: the account has no shared keys.
  storage_use_azuread = true

  # What this configuration makes, and nothing else. up.sh needs the right to register them once per subscription.
  resource_provider_registrations = "none"
  resource_providers_to_register = [
    "Microsoft.AlertsManagement",
    "Microsoft.Consumption",
    "Microsoft.ContainerRegistry",
    "Microsoft.ContainerService",
    "Microsoft.Dashboard",
    "Microsoft.DocumentDB",
    "Microsoft.Insights",
    "Microsoft.KeyVault",
    "Microsoft.KubernetesConfiguration",
    "Microsoft.ManagedIdentity",
    "Microsoft.Monitor",
    "Microsoft.Network",
    "Microsoft.OperationalInsights",
    "Microsoft.Security",
    "Microsoft.ServiceBus",
    "Microsoft.Storage",
  ]

  features {
    key_vault {
      # Purge protection forbids it in any case. A vault that was deleted is taken back under its name.
      purge_soft_delete_on_destroy    = false
      recover_soft_deleted_key_vaults = true
    }
    resource_group {
      # What somebody added by hand to the group is not swept away with it.
      prevent_deletion_if_contains_resources = true
    }
  }
}
