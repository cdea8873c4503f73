# Where, under which names, and who. Other variables are beside what they are for: network_variables.tf,
# node_pools_variables.tf, services_variables.tf.

variable "subscription_id" {
  description = "Id of the subscription that everything is made in."
  type        = string
  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.subscription_id))
    error_message = "subscription_id must be a GUID in lower case, as `az account show --query id -o tsv` prints it."
  }
}

variable "tenant_id" {
  description = "Id of the Entra ID tenant of the subscription."
  type        = string
  validation {
    condition     = can(regex("^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", var.tenant_id))
    error_message = "tenant_id must be a GUID in lower case, as `az account show --query tenantId -o tsv` prints it."
  }
}

variable "location" {
  description = "Azure region of everything, such as westeurope. GPU sizes are not offered in each: up.sh looks."
  type        = string
  default     = "westeurope"
  validation {
    condition     = can(regex("^[a-z]+[a-z0-9]*$", var.location))
    error_message = "location must be a region's short name, such as westeurope: see `az account list-locations`."
  }
}

variable "name" {
  description = "Begins the names of all resources."
  type        = string
  default     = "onda"
  validation {
    condition     = can(regex("^[a-z][a-z0-9]{1,9}$", var.name))
    error_message = "name must be 2 to 10 lower-case letters and digits and begin with a letter: registries and storage accounts allow no more."
  }
}

variable "suffix" {
  description = "Ends the names that must be unique in all of Azure. Empty takes six characters of a hash of the subscription and the name. Give another one where a name is taken, by a deleted Key Vault for example."
  type        = string
  default     = ""
  validation {
    condition     = can(regex("^[a-z0-9]{0,8}$", var.suffix))
    error_message = "suffix must be at most 8 lower-case letters and digits."
  }
}

variable "tags" {
  description = "Tags of all resources, beside application=onda."
  type        = map(string)
  default     = {}
}

variable "cluster_admin_group_ids" {
  description = "Object ids of Entra ID groups with all rights in the cluster. With none, the one who applies gets them."
  type        = set(string)
  default     = []
}

variable "operator_object_ids" {
  description = "Object ids of persons or groups who write secrets, models and inputs and look at Grafana, beside the one who applies."
  type        = set(string)
  default     = []
}

variable "kubernetes_version" {
  description = "Kubernetes as MAJOR.MINOR; AKS takes the newest patch of it and moves on with the channel patch."
  type        = string
  default     = "1.34"
  validation {
    condition     = can(regex("^1\\.[0-9]{2}$", var.kubernetes_version))
    error_message = "kubernetes_version must be MAJOR.MINOR, such as 1.34: see `az aks get-versions`."
  }
}

variable "cluster_sku_tier" {
  description = "Tier of the cluster's control plane: Free (no uptime agreement), Standard or Premium."
  type        = string
  default     = "Standard"
  validation {
    condition     = contains(["Free", "Standard", "Premium"], var.cluster_sku_tier)
    error_message = "cluster_sku_tier must be Free, Standard or Premium."
  }
}

variable "namespace" {
  description = "Kubernetes namespace of Onda: part of the subject that its identity trusts."
  type        = string
  default     = "onda"
  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.namespace)) && !contains(["default", "kube-system", "dapr-system"], var.namespace)
    error_message = "namespace must be a Kubernetes name of its own: not default, kube-system or dapr-system."
  }
}

variable "service_account" {
  description = "Name of Onda's service account, which the chart makes: the release's name where that has onda in it."
  type        = string
  default     = "onda"
  validation {
    condition     = can(regex("^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", var.service_account))
    error_message = "service_account must be a Kubernetes name."
  }
}
