variable "system_vm_size" {
  description = "Size of the nodes that run Kubernetes' own pods."
  type        = string
  default     = "Standard_D4ds_v5"
}

variable "system_nodes" {
  description = "Fewest and most system nodes. One is enough for a trial."
  type        = object({ min = number, max = number })
  default     = { min = 2, max = 4 }
  validation {
    condition     = var.system_nodes.min >= 1 && var.system_nodes.max >= var.system_nodes.min
    error_message = "system_nodes must have min of 1 or more, and max not below it."
  }
}

variable "cpu_vm_size" {
  description = "Size of the nodes that run Onda on the CPU. The chart's replicas ask for 2 cores each."
  type        = string
  default     = "Standard_D4ds_v5"
}

variable "cpu_vm_cores" {
  description = "Cores of system_vm_size and of cpu_vm_size, which up.sh holds against the quota."
  type        = number
  default     = 4
}

variable "cpu_vm_family" {
  description = "Quota family of system_vm_size and cpu_vm_size, as `az vm list-usage` names it in name.value."
  type        = string
  default     = "standardDDSv5Family"
}

variable "cpu_nodes" {
  description = "Fewest and most CPU nodes: a replica of the chart takes half of one. Dapr's control plane runs here too, so none is no choice."
  type        = object({ min = number, max = number })
  default     = { min = 2, max = 8 }
  validation {
    condition     = var.cpu_nodes.min >= 1 && var.cpu_nodes.max >= var.cpu_nodes.min
    error_message = "cpu_nodes must have min of 1 or more, since Dapr runs there, and max not below it."
  }
}

variable "gpu_enabled" {
  description = "Whether there is a GPU pool. It costs nothing while no pod asks for a GPU: its min is 0."
  type        = bool
  default     = false
}

variable "gpu_vm_size" {
  description = "Size of the GPU nodes, of NVIDIA: Standard_NC4as_T4_v3 (T4, 16 GB), Standard_NC24ads_A100_v4 (A100, 80 GB), Standard_NC40ads_H100_v5 (H100, 94 GB). Change gpu_vm_family and gpu_vm_cores with it."
  type        = string
  default     = "Standard_NC4as_T4_v3"
  validation {
    condition     = can(regex("^Standard_N[CDV][0-9]+[A-Za-z0-9_]*$", var.gpu_vm_size)) && !can(regex("^Standard_N[CDV].*_v1$", var.gpu_vm_size)) && !can(regex("(?i)v620|v710|MI300", var.gpu_vm_size))
    error_message = "gpu_vm_size must be a size with an NVIDIA GPU, such as Standard_NC4as_T4_v3."
  }
}

variable "gpu_vm_family" {
  description = "Quota family of gpu_vm_size, as `az vm list-usage` names it in name.value: Standard NCASv3_T4 Family, StandardNCADSA100v4Family, StandardNCadsH100v5Family."
  type        = string
  default     = "Standard NCASv3_T4 Family"
}

variable "gpu_vm_cores" {
  description = "Cores of gpu_vm_size, which up.sh holds against the quota."
  type        = number
  default     = 4
}

variable "gpu_nodes_max" {
  description = "Most GPU nodes: the bound of what the pool can cost."
  type        = number
  default     = 1
  validation {
    condition     = var.gpu_nodes_max >= 1 && var.gpu_nodes_max <= 100
    error_message = "gpu_nodes_max must be 1 to 100; for no GPU pool at all set gpu_enabled = false."
  }
}

variable "gpu_spot" {
  description = "Whether GPU nodes are spot machines: a fraction of the price, and Azure may take them away with half a minute's notice. The chart then needs one more toleration: see README.md."
  type        = bool
  default     = false
}

variable "zones" {
  description = "Availability zones of the nodes, such as [\"1\", \"2\", \"3\"]. Not every size is in every zone of a region; empty lets Azure choose."
  type        = list(string)
  default     = []
}

variable "host_encryption" {
  description = "Whether nodes' disks are encrypted on the host too. The subscription needs the feature first: az feature register --namespace Microsoft.Compute --name EncryptionAtHost."
  type        = bool
  default     = false
}
