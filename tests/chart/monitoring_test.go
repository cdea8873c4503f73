package chart_test

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"
)

func TestMonitoringHooks(t *testing.T) {
	t.Parallel()
	all := render(t, "", profile(t, "everything")...)
	monitor := all.one(t, "PodMonitor", "onda-scoring")
	if got := monitor.text("spec", "jobLabel"); got != "app.kubernetes.io/instance" {
		t.Errorf("jobLabel %q: the rules tell releases apart by the job", got)
	}
	if monitor.text("spec", "podMetricsEndpoints", 0, "port") != "metrics" || monitor.text("metadata", "labels", "release") != "prometheus" {
		t.Errorf("monitor %v", monitor)
	}
	dropped := monitor.at("spec", "podMetricsEndpoints", 1, "metricRelabelings", 0)
	if at(dropped, "regex") != "dapr_grpc_io_.*" || at(dropped, "action") != "drop" || monitor.at("spec", "podMetricsEndpoints", 0, "metricRelabelings") != nil {
		t.Errorf("endpoints %v, want dapr_grpc_io_.* dropped from the sidecar's alone", monitor.at("spec", "podMetricsEndpoints"))
	}
	kept := render(t, "monitoring: {podMonitor: {enabled: true, dropGRPC: false}}").one(t, "PodMonitor", "onda")
	if got := kept.at("spec", "podMetricsEndpoints", 1, "metricRelabelings"); got != nil {
		t.Errorf("dropped is %v, want nothing", got)
	}
	deployment, _ := all.server(t)
	if notes := annotations(deployment); notes["prometheus.io/port"] != "9464" || notes["prometheus.io/scrape"] != "true" {
		t.Errorf("annotations %v", notes)
	}
	azure := render(t, "monitoring: {annotations: false, podMonitor: {enabled: true, apiGroup: azmonitoring.coreos.com}}")
	if got := azure.one(t, "PodMonitor", "onda").text("apiVersion"); got != "azmonitoring.coreos.com/v1" {
		t.Errorf("apiVersion %q", got)
	}
	deployment, _ = azure.server(t)
	if got, there := annotations(deployment)["prometheus.io/scrape"]; there {
		t.Errorf("prometheus.io/scrape is %q, want none", got)
	}
}

// TestRulesAndDashboardsArriveAsTheyAre: templates of theirs are not Helm's.
func TestRulesAndDashboardsArriveAsTheyAre(t *testing.T) {
	t.Parallel()
	const folder = chart + "/files/monitoring"
	all := render(t, "", profile(t, "everything")...)
	var rules map[string]any
	if err := yaml.Unmarshal([]byte(read(t, folder+"/rules.yaml")), &rules); err != nil {
		t.Fatal(err)
	}
	compareText(t, "the rules", all.one(t, "PrometheusRule", "onda-scoring").at("spec", "groups"), rules["groups"])
	dashboards, err := filepath.Glob(folder + "/dashboards/*.json")
	if err != nil {
		t.Fatal(err)
	}
	rendered := map[string]string{}
	for _, o := range all.find("ConfigMap") {
		if got := o.text("metadata", "labels", "grafana_dashboard"); got != "1" {
			t.Errorf("%s: grafana_dashboard is %q, want 1", o.name(), got)
		}
		for name, text := range asMap(o["data"]) {
			rendered[name], _ = text.(string)
		}
	}
	if len(dashboards) == 0 || len(rendered) != len(dashboards) {
		t.Errorf("%d of %d dashboards are there", len(rendered), len(dashboards))
	}
	for _, path := range dashboards {
		var got, want any
		if err := json.Unmarshal([]byte(rendered[filepath.Base(path)]), &got); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if err := json.Unmarshal([]byte(read(t, path)), &want); err != nil {
			t.Fatal(err)
		}
		compareText(t, path, got, want)
	}
}
