variable "vnet_cidr" {
  description = "Addresses of the virtual network."
  type        = string
  default     = "10.60.0.0/16"
  validation {
    condition     = can(cidrhost(var.vnet_cidr, 0)) && tonumber(split("/", var.vnet_cidr)[1]) <= 20
    error_message = "vnet_cidr must be a CIDR of at least a /20: nodes take its first quarter, private endpoints the sixteenth after it."
  }
}

variable "pod_cidr" {
  description = "Addresses of pods, in the overlay: they are not of the virtual network. Each node takes a /24."
  type        = string
  default     = "10.244.0.0/16"
  validation {
    condition     = can(cidrhost(var.pod_cidr, 0))
    error_message = "pod_cidr must be a CIDR, such as 10.244.0.0/16."
  }
}

variable "service_cidr" {
  description = "Addresses of Kubernetes services."
  type        = string
  default     = "10.0.0.0/16"
  validation {
    condition     = can(cidrhost(var.service_cidr, 10))
    error_message = "service_cidr must be a CIDR of at least 16 addresses, such as 10.0.0.0/16."
  }
}

variable "private" {
  description = "Whether the cluster's API server, registry, vault, storage and Cosmos DB (and Service Bus with its Premium SKU) are reached by private endpoints alone. Commands then run from a machine in, or connected to, the virtual network."
  type        = bool
  default     = false
}

variable "authorized_ip_ranges" {
  description = "Public addresses that may reach the API server, the registry (Premium), the vault, storage, Cosmos DB and Service Bus (Premium), such as your office's. Required unless private is true or open_to_internet says otherwise."
  type        = set(string)
  default     = []
  validation {
    condition     = alltrue([for r in var.authorized_ip_ranges : can(cidrhost(r, 0)) && !strcontains(r, "/0")])
    error_message = "authorized_ip_ranges must be CIDRs such as 203.0.113.7/32; for the whole internet set open_to_internet."
  }
}

variable "open_to_internet" {
  description = "Whether the services may be reached from any address: each call still needs an Entra ID identity with a role. For a trial."
  type        = bool
  default     = false
  validation {
    condition     = var.private || var.open_to_internet || length(var.authorized_ip_ranges) > 0
    error_message = "Who may reach the API server? Give authorized_ip_ranges (up.sh finds your own address), or private = true, or open_to_internet = true for a trial."
  }
}

variable "ddos_protection" {
  description = "Whether the network gets a DDoS protection plan of its own: some 2900 USD a month."
  type        = bool
  default     = false
}

variable "ddos_protection_plan_id" {
  description = "Id of a DDoS protection plan that exists, which goes before ddos_protection; empty for none."
  type        = string
  default     = ""
}
