package monitoring

import "strings"

// azure is the rules as a template of Azure Resource Manager: a rule group of Azure's managed
// Prometheus for each of ours. The API version is the newest stable one that Azure's reference
// names, 2023-03-01.
func azure(r Rules) (object, error) {
	var resources []object
	for _, g := range r.Groups {
		interval, err := iso8601(g.Interval)
		if err != nil {
			return nil, err
		}
		rules := make([]object, len(g.Rules))
		for i, rule := range g.Rules {
			if rules[i], err = azureRule(rule); err != nil {
				return nil, err
			}
		}
		resources = append(resources, object{
			"type": "Microsoft.AlertsManagement/prometheusRuleGroups", "apiVersion": "2023-03-01",
			"name": "[concat(parameters('clusterName'), '-" + g.Name + "')]", "location": "[parameters('location')]",
			"properties": object{
				"description": "Generated from deploy/monitoring/rules.yaml", "enabled": true, "interval": interval,
				"clusterName": "[parameters('clusterName')]", "scopes": []string{"[parameters('workspaceId')]", "[parameters('clusterId')]"}, "rules": rules,
			},
		})
	}
	return object{
		"$schema":        "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
		"contentVersion": "1.0.0.0",
		"parameters": object{
			"clusterName":   parameter("name of the AKS cluster, as in the label cluster of its series"),
			"clusterId":     parameter("resource id of the AKS cluster"),
			"workspaceId":   parameter("resource id of the Azure Monitor workspace that the cluster's metrics go to"),
			"actionGroupId": parameter("resource id of the action group that alerts go to"),
			"location":      object{"type": "string", "defaultValue": "[resourceGroup().location]", "metadata": object{"description": "region of the workspace"}},
		},
		"resources": resources,
	}, nil
}

func parameter(description string) object {
	return object{"type": "string", "metadata": object{"description": description}}
}

// severities are Azure's: 0 is the worst, 4 the least.
var severities = map[string]int{"critical": 1, "warning": 2, "info": 4}

func azureRule(r Rule) (object, error) {
	// An expression of ARM begins with [; no PromQL here does, but a text might.
	if r.Record != "" {
		return object{"record": r.Record, "expression": r.Expr, "enabled": true}, nil
	}
	wait, err := iso8601(r.For)
	if err != nil {
		return nil, err
	}
	annotations := map[string]string{}
	for name, text := range r.Annotations {
		annotations[name] = text
		if strings.HasPrefix(text, "[") {
			annotations[name] = "[" + text
		}
	}
	return object{
		"alert": r.Alert, "expression": r.Expr, "enabled": true, "for": wait, "severity": severities[r.Labels["severity"]],
		"labels": r.Labels, "annotations": annotations, "actions": []object{{"actionGroupId": "[parameters('actionGroupId')]"}},
		"resolveConfiguration": object{"autoResolved": true, "timeToResolve": "PT10M"},
	}, nil
}
