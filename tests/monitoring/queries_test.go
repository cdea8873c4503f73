package monitoring_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// foreign are metrics of others, with the labels that queries use: nothing here gives them.
var foreign = map[string][]string{
	// KEDA's operator: keda.sh/docs, "Integrate with Prometheus".
	"keda_scaler_metrics_value":       {"namespace", "metric", "scaledObject", "scaler"},
	"keda_scaler_detail_errors_total": {"namespace", "metric", "scaledObject", "scaler"},
	// kube-state-metrics and the kubelet's cAdvisor.
	"kube_deployment_spec_replicas":             {"namespace", "deployment"},
	"kube_deployment_status_replicas_available": {"namespace", "deployment"},
	"kube_pod_container_resource_limits":        {"namespace", "pod", "container", "resource", "unit"},
	"container_memory_working_set_bytes":        {"namespace", "pod", "container"},
	// NVIDIA's DCGM exporter.
	"DCGM_FI_DEV_GPU_UTIL": {"namespace", "gpu"},
	"DCGM_FI_DEV_GPU_TEMP": {"namespace", "gpu"},
	// Onda's own, of which this run has none: they need a GPU, and an overload.
	"onda_gpu_memory_bytes":      {"namespace", "job", "pod", "gpu", "kind"},
	"onda_mirrors_dropped_total": {"namespace", "job", "pod", "model", "reason"},
}

// unseen are values in matchers that this run does not provoke.
var unseen = map[string]bool{`onda_dead_letters_total{outcome="retry"}`: true}

// empty are the panels' queries that have no data here, for the reasons of foreign; of the
// rest every one has to give some.
func empty(expr string) bool {
	for name := range foreign {
		if strings.Contains(expr, name) {
			return true
		}
	}
	return false
}

// TestQueries lets a real Prometheus read every query of the rules and dashboards, looks for
// its metrics, labels and values in what a running Onda and its sidecar give, and runs it.
func TestQueries(t *testing.T) {
	s := newStage(t)
	s.register(t, t.TempDir())
	known := recorded(t)
	for round := range 20 {
		s.traffic(t, round)
	}
	for _, e := range expressions(t) {
		if strings.HasPrefix(e.where, "panel") && !empty(e.expr) {
			s.fills(t, e)
		}
	}
	for _, e := range expressions(t) {
		var tree node
		if err := s.prometheus.get("parse_query", url.Values{"query": {e.expr}}, &tree); err != nil {
			t.Errorf("%s: %v", e.where, err)
			continue
		}
		for problem := range s.prometheus.problems(t, &tree, known) {
			t.Errorf("%s: %s", e.where, problem)
		}
	}
	s.rulesEvaluate(t)
}

// fills sends requests until a panel's query has data.
func (s *stage) fills(t *testing.T, e expression) {
	t.Helper()
	s.prometheus.Wait(t, e.where+": there is data for "+e.expr, func() error {
		err := s.prometheus.hasData(e.expr)
		if err != nil {
			s.traffic(t, int(time.Now().UnixMilli()))
		}
		return err
	})
}

// recorded gives the labels of what the rules record.
func recorded(t *testing.T) map[string][]string {
	t.Helper()
	known := maps.Clone(foreign)
	for _, g := range rules(t).Groups {
		for _, r := range g.Rules {
			if r.Record != "" {
				known[r.Record] = []string{"namespace", "job"}
			}
		}
	}
	return known
}

// hasData says whether a query gives something that is a number.
func (p *prometheus) hasData(expr string) error {
	var answer struct {
		Result []struct{ Value [2]any }
	}
	if err := p.get("query", url.Values{"query": {expr}}, &answer); err != nil {
		return err
	}
	for _, r := range answer.Result {
		if r.Value[1] != "NaN" {
			return nil
		}
	}
	return fmt.Errorf("%d series, none of which is a number", len(answer.Result))
}

// node is a part of a query as Prometheus' parser gives it.
type node struct {
	Type     string
	Name     string
	Matchers []struct{ Name, Type, Value string }
	Grouping []string
	Matching *struct {
		Labels, Include []string
		On              bool
	}
	Expr, LHS, RHS, Param *node
	Args                  []*node
}

func (n *node) children() []*node {
	list := slices.Clone(n.Args)
	for _, c := range []*node{n.Expr, n.LHS, n.RHS, n.Param} {
		if c != nil {
			list = append(list, c)
		}
	}
	return list
}

// problems are the metrics, labels and values of a query that nothing has.
func (p *prometheus) problems(t *testing.T, n *node, known map[string][]string) map[string]bool {
	t.Helper()
	found := map[string]bool{}
	p.labels(t, n, known, found)
	return found
}

// labels gives the labels of the metrics below a node, and notes what is wrong there.
func (p *prometheus) labels(t *testing.T, n *node, known map[string][]string, found map[string]bool) []string {
	t.Helper()
	var have []string
	for _, c := range n.children() {
		have = append(have, p.labels(t, c, known, found)...)
	}
	if n.Type == "vectorSelector" {
		return p.selector(t, n, known, found)
	}
	wanted := n.Grouping
	if n.Matching != nil {
		wanted = append(slices.Clone(wanted), n.Matching.Labels...)
	}
	for _, label := range wanted {
		if !slices.Contains(have, label) && len(have) > 0 {
			found[fmt.Sprintf("no metric below %s has the label %s", n.Type, label)] = true
		}
	}
	return have
}

func (p *prometheus) selector(t *testing.T, n *node, known map[string][]string, found map[string]bool) []string {
	t.Helper()
	have := slices.Clone(known[n.Name])
	series := p.series(t, n.Name)
	if len(have) == 0 {
		if len(series) == 0 {
			found["nothing gives the metric "+n.Name] = true
			return nil
		}
		for _, s := range series {
			have = append(have, slices.Collect(maps.Keys(s))...)
		}
	}
	for _, m := range n.Matchers {
		if m.Name == "__name__" {
			continue
		}
		if !slices.Contains(have, m.Name) {
			found[fmt.Sprintf("%s has no label %s", n.Name, m.Name)] = true
			continue
		}
		seen := slices.ContainsFunc(series, func(s map[string]string) bool { return s[m.Name] == m.Value })
		if matcher := fmt.Sprintf("%s{%s=%q}", n.Name, m.Name, m.Value); m.Type == "=" && known[n.Name] == nil && !seen && !unseen[matcher] {
			found["nothing gives "+matcher] = true
		}
	}
	return have
}

// rulesEvaluate waits until Prometheus has evaluated every rule, and wants no errors and the
// alerts that the stage deserves: a model that cannot be loaded, and events for nobody.
func (s *stage) rulesEvaluate(t *testing.T) {
	t.Helper()
	wanted := []string{"OndaModelLoadsFail", "OndaDeadLetters"}
	s.prometheus.Wait(t, "the rules are evaluated", func() error {
		s.traffic(t, int(time.Now().UnixMilli()))
		var answer struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError, State string }
			}
		}
		if err := s.prometheus.get("rules", nil, &answer); err != nil {
			return err
		}
		firing := map[string]bool{}
		for _, g := range answer.Groups {
			for _, r := range g.Rules {
				if r.Health != "ok" {
					return fmt.Errorf("%s: %s %s", r.Name, r.Health, r.LastError)
				}
				firing[r.Name] = r.State == "firing"
			}
		}
		for _, name := range wanted {
			if !firing[name] {
				return fmt.Errorf("%s does not fire", name)
			}
		}
		if firing["OndaSidecarDown"] || firing["OndaDown"] {
			return errors.New("an alert fires for what is up")
		}
		return nil
	})
}

// TestForeignMetricsOfOnda finds those of Onda's metrics that no run here gives in its source.
func TestForeignMetricsOfOnda(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "app", "telemetry", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	for name := range foreign {
		if quoted, _ := json.Marshal(name); strings.HasPrefix(name, "onda_") && !strings.Contains(source.String(), string(quoted)) {
			t.Errorf("app/telemetry has no metric %s", name)
		}
	}
}
