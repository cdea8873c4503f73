variable "dapr_version" {
  description = "Version of the Dapr extension, which stays until this changes. Not every version of Dapr is offered: the guide has the command that lists those that are."
  type        = string
  default     = "1.18.1"
  validation {
    condition     = can(regex("^1\\.(1[5-9]|[2-9][0-9])\\.[0-9]+$", var.dapr_version))
    error_message = "dapr_version must be exact, such as 1.18.1, and 1.15 or newer."
  }
}

variable "topic" {
  description = "Topic of scoring requests; the chart's events.topic."
  type        = string
  default     = "scoring.requests"
}

variable "results_topic" {
  description = "Topic of results; the chart's events.resultsTopic."
  type        = string
  default     = "scoring.results"
}

variable "dead_letter_topic" {
  description = "Topic of what no retry can mend; the chart's events.deadLetterTopic."
  type        = string
  default     = "scoring.deadletter"
}

variable "app_id" {
  description = "Dapr app id of Onda; the name of its subscriptions."
  type        = string
  default     = "onda"
}

variable "result_subscribers" {
  description = "Dapr app ids that read results: each gets a subscription of its own to the results' topic."
  type        = set(string)
  default     = []
}

variable "max_delivery_count" {
  description = "Deliveries of a request before Service Bus moves it to the subscription's own dead-letter queue. All tries of the sidecar are one delivery."
  type        = number
  default     = 100
  validation {
    condition     = var.max_delivery_count >= 1 && var.max_delivery_count <= 2000
    error_message = "max_delivery_count must be 1 to 2000."
  }
}

variable "service_bus_sku" {
  description = "Standard (messages up to 256 KB, no private endpoint) or Premium (up to 100 MB, private endpoints)."
  type        = string
  default     = "Standard"
  validation {
    condition     = contains(["Standard", "Premium"], var.service_bus_sku) && (!var.private || var.service_bus_sku == "Premium")
    error_message = "service_bus_sku must be Standard or Premium: Basic has no topics, and private = true needs Premium, since Standard has no private endpoint."
  }
}

variable "cosmos_autoscale_max_rus" {
  description = "0 for a serverless account, which costs by the request; otherwise the most request units a second of an autoscaled one, which never costs less than a tenth of that."
  type        = number
  default     = 0
  validation {
    condition     = var.cosmos_autoscale_max_rus == 0 || (var.cosmos_autoscale_max_rus >= 1000 && var.cosmos_autoscale_max_rus % 1000 == 0)
    error_message = "cosmos_autoscale_max_rus must be 0 (serverless), or a multiple of 1000."
  }
}

variable "storage_replication" {
  description = "Copies of models and inputs: LRS (one building), ZRS (three zones), GRS or GZRS (a second region as well)."
  type        = string
  default     = "ZRS"
  validation {
    condition     = contains(["LRS", "ZRS", "GRS", "GZRS"], var.storage_replication)
    error_message = "storage_replication must be LRS, ZRS, GRS or GZRS."
  }
}

variable "deleted_retention_days" {
  description = "Days for which deleted models, inputs and secrets can be brought back."
  type        = number
  default     = 30
  validation {
    condition     = var.deleted_retention_days >= 7 && var.deleted_retention_days <= 90
    error_message = "deleted_retention_days must be 7 to 90."
  }
}

variable "log_retention_days" {
  description = "Days for which logs are kept; the first 31 cost nothing more."
  type        = number
  default     = 30
  validation {
    condition     = var.log_retention_days >= 30 && var.log_retention_days <= 730
    error_message = "log_retention_days must be 30 to 730."
  }
}

variable "log_daily_quota_gb" {
  description = "Logs taken in a day, in GB: what comes after that is lost until the next day. -1 for no bound."
  type        = number
  default     = 5
}

variable "grafana_enabled" {
  description = "Whether there is a managed Grafana on the metrics."
  type        = bool
  default     = true
}

variable "defender_enabled" {
  description = "Whether Microsoft Defender's sensor watches the cluster. What it finds is shown, and paid for by the core, where the subscription has the plan Defender for Containers."
  type        = bool
  default     = true
}

variable "defender_plan" {
  description = "Whether to switch the plan Defender for Containers on, for the whole subscription: all its clusters and registries."
  type        = bool
  default     = false
}

variable "budget_amount" {
  description = "Money a month, in the currency of the subscription, of which 80 % and 100 % send a mail, as does a forecast above it. 0 for no budget. A budget stops nothing."
  type        = number
  default     = 0
  validation {
    condition     = var.budget_amount >= 0 && (var.budget_amount == 0 || length(var.budget_emails) > 0)
    error_message = "budget_amount must not be negative, and needs budget_emails: who gets the mail?"
  }
}

variable "budget_emails" {
  description = "Who gets the budget's mails."
  type        = list(string)
  default     = []
}

variable "budget_start" {
  description = "First day of the budget, a first of a month, as YYYY-MM-01: this month or a later one when it is made, and unchanged from then on."
  type        = string
  default     = ""
  validation {
    condition     = can(regex("^[0-9]{4}-(0[1-9]|1[0-2])-01$", var.budget_start)) || (var.budget_start == "" && var.budget_amount == 0)
    error_message = "budget_start must be the first of a month as YYYY-MM-01, of this month or a later one."
  }
}
