package monitoring_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/deploy/monitoring"
)

// TestGeneratedFiles holds what is generated against its sources.
func TestGeneratedFiles(t *testing.T) {
	t.Parallel()
	files, err := monitoring.Files()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, "deploy", name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("deploy/%s is not what its source says (%v): go run ./deploy/monitoring/generate", name, err)
		}
	}
	for _, folder := range []string{"monitoring/dashboards", "chart/files/monitoring/dashboards"} {
		entries, err := os.ReadDir(filepath.Join(root, "deploy", folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if _, ok := files[folder+"/"+e.Name()]; !ok {
				t.Errorf("deploy/%s/%s has no source", folder, e.Name())
			}
		}
	}
}

// TestDashboards looks for what Grafana would not complain about, but people would.
func TestDashboards(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(root, "deploy", "monitoring", "dashboards", "*.json"))
	if err != nil || len(files) != 4 {
		t.Fatalf("got %d dashboards, %v, want 4", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var board struct {
			Templating struct{ List []struct{ Name string } }
			Panels     []struct {
				ID                       int
				Type, Title, Description string
				GridPos                  struct{ X, Y, W, H int }
				Targets                  []struct{ Expr string }
			}
		}
		if err := json.Unmarshal(text, &board); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		var names []string
		for _, v := range board.Templating.List {
			names = append(names, v.Name)
		}
		if want := []string{"datasource", "namespace", "app", "model", "version"}; !slices.Equal(names, want) {
			t.Errorf("%s: got variables %q, want %q", file, names, want)
		}
		taken := map[[2]int]string{}
		for _, p := range board.Panels {
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
						t.Errorf("%s: %s lies over %q, or beyond the edge", file, p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
			for _, target := range p.Targets {
				if left := regexp.MustCompile(`\$(pods|models)`).FindString(target.Expr); left != "" {
					t.Errorf("%s: %s still has %s", file, p.Title, left)
				}
			}
		}
	}
	for _, p := range panels(t) {
		if len(p.Description) < 20 || p.Unit == "" || p.Width < 1 || len(p.Queries) == 0 {
			t.Errorf("%s lacks a description, a unit, a width or a query", p.where)
		}
		for _, q := range p.Queries {
			if q.Legend == "" && p.Kind != "stat" {
				t.Errorf("%s: %s has no legend", p.where, q.Expr)
			}
		}
	}
}

// headings are those of every runbook.
var headings = []string{"## What it means", "## Who is hurt", "## How to look", "## What to do", "## How to know that it is over"}

// TestRunbooks wants a page for each alert, and no other pages.
func TestRunbooks(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(root, "deploy", "monitoring", "runbooks")
	alerts := map[string]bool{}
	for _, g := range rules(t).Groups {
		for _, r := range g.Rules {
			if r.Alert != "" {
				alerts[r.Alert+".md"] = true
			}
		}
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !alerts[e.Name()] {
			t.Errorf("runbooks/%s is of no alert", e.Name())
		}
		delete(alerts, e.Name())
		text, err := os.ReadFile(filepath.Join(folder, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		at := 0
		for _, heading := range append([]string{"# " + strings.TrimSuffix(e.Name(), ".md") + "\n"}, headings...) {
			next := strings.Index(string(text[at:]), heading)
			if next < 0 {
				t.Errorf("runbooks/%s has no %q in its place", e.Name(), heading)
				continue
			}
			at += next + len(heading)
		}
	}
	for name := range alerts {
		t.Errorf("there is no runbooks/%s", name)
	}
}

// TestRules holds the rules to what makes an alert useful, and to the bounds that Azure sets:
// groups of at most 20 rules, evaluated every minute or less often.
func TestRules(t *testing.T) {
	t.Parallel()
	const most = 20
	for _, g := range rules(t).Groups {
		if interval, err := time.ParseDuration(g.Interval); err != nil || interval < time.Minute || len(g.Rules) > most {
			t.Errorf("group %s: %d rules every %s, want at most %d every minute or less often (%v)", g.Name, len(g.Rules), g.Interval, most, err)
		}
		for _, r := range g.Rules {
			if r.Record != "" {
				continue
			}
			if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
				t.Errorf("%s has the severity %q", r.Alert, r.Labels["severity"])
			}
			if r.For == "" || len(r.Annotations["summary"]) < 20 || !strings.HasSuffix(r.Annotations["runbook_url"], "/deploy/monitoring/runbooks/"+r.Alert+".md") {
				t.Errorf("%s lacks for, a summary, or the URL of its page", r.Alert)
			}
		}
	}
}

// TestAlertsFire runs promtool on series that make each alert fire, and on others that do not.
func TestAlertsFire(t *testing.T) {
	t.Parallel()
	promtool := tool(t, "promtool")
	file := filepath.Join(root, "deploy", "monitoring", "rules.yaml")
	if output, err := exec.Command(promtool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	text, err := os.ReadFile("rules.test.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range rules(t).Groups {
		for _, r := range g.Rules {
			if r.Alert != "" && !strings.Contains(string(text), `{alertname="`+r.Alert+`", `) {
				t.Errorf("rules.test.yaml has no series that make %s fire", r.Alert)
			}
		}
	}
	test := filepath.Join(t.TempDir(), "test.yaml")
	if err := os.WriteFile(test, bytes.Replace(text, []byte("[RULES]"), []byte("["+file+"]"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command(promtool, "test", "rules", test).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}
