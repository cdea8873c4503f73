# The rules of Terraform's language, all of them; those for Azure are a plugin that is fetched from elsewhere.
config {
  call_module_type = "local"
}

plugin "terraform" {
  enabled = true
  preset  = "all"
}

# Variables stand beside what they are for.
rule "terraform_standard_module_structure" {
  enabled = false
}
