// Package monitoring_test holds the dashboards and alert rules of deploy/monitoring against
// what is really there: the series of a running Onda and its sidecar, as a real Prometheus
// scrapes them, and Prometheus' own reading of every query.
package monitoring_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/deploy/monitoring"
	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// root is the repository's folder.
var root string

func TestMain(m *testing.M) {
	var err error
	if root, err = ondatest.Root(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// tool finds prometheus or promtool.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := ondatest.Fetched("ONDA_TEST_"+strings.ToUpper(name), "tools", "bin", name)
	if err != nil {
		ondatest.Missing(t, "deploy/local/setup.sh monitoring builds it: "+err.Error())
	}
	return path
}

func rules(t *testing.T) monitoring.Rules {
	t.Helper()
	r, err := monitoring.ReadRules()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// expression is a query and where it stands.
type expression struct{ where, expr string }

// expressions are those of all rules and panels, with the dashboards' variables as they are
// when all is chosen.
func expressions(t *testing.T) []expression {
	t.Helper()
	var list []expression
	for _, g := range rules(t).Groups {
		for _, r := range g.Rules {
			list = append(list, expression{"rule " + r.Record + r.Alert, r.Expr})
		}
	}
	for _, p := range panels(t) {
		for _, q := range p.Queries {
			list = append(list, expression{p.where, fill(q.Expr)})
		}
	}
	return list
}

// placed is a panel and where it stands.
type placed struct {
	monitoring.Panel
	where string
}

func panels(t *testing.T) []placed {
	t.Helper()
	boards, err := monitoring.Boards()
	if err != nil {
		t.Fatal(err)
	}
	var list []placed
	for _, b := range boards {
		for _, row := range b.Rows {
			for _, p := range row.Panels {
				list = append(list, placed{p, "panel " + b.UID + "/" + p.Title})
			}
		}
	}
	return list
}

// fill gives variables the values that Grafana gives them.
func fill(expr string) string {
	return strings.NewReplacer("$namespace", ".*", "$app", ".*", "$model", ".*", "$version", ".*", "$__rate_interval", "1m").Replace(monitoring.Expand(expr))
}

// prometheus is a real one that scrapes what a test started.
type prometheus struct {
	*ondatest.Process
	url string
}

// startPrometheus scrapes every second, and evaluates the rules every two: nothing in them
// depends on that, but the test's patience.
func startPrometheus(t *testing.T, targets map[string]string) *prometheus {
	t.Helper()
	dir, port := t.TempDir(), ondatest.FreePort(t)
	text, err := os.ReadFile(filepath.Join(root, "deploy", "monitoring", "rules.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text = []byte(strings.ReplaceAll(string(text), "interval: 1m", "interval: 2s"))
	var config strings.Builder
	config.WriteString("global: {scrape_interval: 1s, evaluation_interval: 2s}\nrule_files: [rules.yaml]\nscrape_configs:\n- job_name: onda\n  static_configs:\n")
	for container, address := range targets {
		fmt.Fprintf(&config, "  - {targets: [%q], labels: {namespace: here, pod: onda-0, container: %s}}\n", address, container)
	}
	for name, content := range map[string][]byte{"rules.yaml": text, "prometheus.yml": []byte(config.String())} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := &prometheus{url: "http://" + ondatest.Loopback(port)}
	p.Process = ondatest.Start(t, "prometheus", dir, nil, tool(t, "prometheus"),
		"--config.file=prometheus.yml", "--storage.tsdb.path=data", "--web.listen-address="+ondatest.Loopback(port), "--log.level=warn")
	p.Wait(t, "prometheus is ready", func() error { return ondatest.Answers(p.url+"/-/ready", http.StatusOK) })
	return p
}

// get asks the API, and decodes the data of its answer.
func (p *prometheus) get(path string, parameters url.Values, to any) error {
	client := http.Client{Timeout: 30 * time.Second}
	response, err := client.Get(p.url + "/api/v1/" + path + "?" + parameters.Encode())
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var answer struct {
		Status, Error string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", response.Status, err)
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", path, answer.Error)
	}
	return json.Unmarshal(answer.Data, to)
}

// series gives the labels of what matches.
func (p *prometheus) series(t *testing.T, match string) []map[string]string {
	t.Helper()
	var list []map[string]string
	if err := p.get("series", url.Values{"match[]": {match}}, &list); err != nil {
		t.Fatal(err)
	}
	return list
}
