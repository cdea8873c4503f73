package azure_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of costs into the guide")

const guide = "../../deploy/azure/README.md"

// makeFake runs the commands that the Makefile's targets stand for.
const makeFake = `#!/usr/bin/env bash
case $1 in
  azure-up) exec deploy/azure/up.sh ;;
  deploy) exec deploy/azure/deploy.sh ;;
  azure-status) exec deploy/azure/status.sh ;;
  azure-down) exec deploy/azure/down.sh ;;
esac
echo "no target $1" >&2
exit 2
`

// Every command of the guide runs, in its order, in one shell; Azure is faked, and so is the answer of Onda.
func TestGuide(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	m := newMachine(t)
	m.write(t, filepath.Join(m.fake, "image"), "")
	m.write(t, filepath.Join(m.bin, "make"), makeFake)
	if err := os.Chmod(filepath.Join(m.bin, "make"), 0o700); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		lines = append(lines, block[1])
	}
	if len(lines) < 7 {
		t.Fatalf("the guide has only %d blocks of commands", len(lines))
	}
	output, code, calls := m.run(t, "", []string{"FAKE_GPU=true"}, "set -e\n"+strings.Join(lines, "\n"))
	if code != 0 {
		t.Fatalf("exit code %d:\n%s", code, output)
	}
	says(t, output, "Nothing was made", "the cluster the-cluster_name is there", "Onda is there", "== pods", "is gone but what stays")
	inOrder(t, calls, "az login", "tofu apply", "helm upgrade --install onda ROOT/deploy/chart", "kubectl get nodes", "curl -s -H content-type: text/plain",
		"az vm list-usage --location westeurope --query", "tofu apply", "kubectl apply -f ROOT/deploy/azure/gpu/device-plugin.yaml", "helm uninstall", "tofu apply")
}

// prices is prices.json: what a unit costs, and how many a month takes.
type prices struct {
	Note, Date, Region, Currency string
	Items                        []struct {
		What, Unit, How   string
		Price, Idle, Busy float64
		GPU               bool
	}
	Options []struct {
		What, How string
		Monthly   float64
	}
}

// table is the guide's table of costs, with its sums.
func (p prices) table() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s, %s, %s.\n\n", p.Note, p.Region, p.Date, p.Currency)
	fmt.Fprint(&b, "| a month | price | per | idle | busy | assumed |\n|---|---:|---|---:|---:|---|\n")
	var idle, busy, gpu float64
	for _, i := range p.Items {
		fmt.Fprintf(&b, "| %s | %.4g | %s | %.2f | %.2f | %s |\n", i.What, i.Price, i.Unit, i.Price*i.Idle, i.Price*i.Busy, i.How)
		idle += i.Price * i.Idle
		busy += i.Price * i.Busy
		if i.GPU {
			gpu += i.Price * i.Busy
		}
	}
	fmt.Fprintf(&b, "| **all, without GPU** | | | **%.0f** | **%.0f** | |\n", idle, busy-gpu)
	fmt.Fprintf(&b, "| **all, with GPU** | | | **%.0f** | **%.0f** | a GPU pool without nodes costs nothing |\n", idle, busy)
	fmt.Fprint(&b, "\n| option | a month | |\n|---|---:|---|\n")
	for _, o := range p.Options {
		fmt.Fprintf(&b, "| %s | %.2f | %s |\n", o.What, o.Monthly, o.How)
	}
	return b.String()
}

func TestCosts(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../deploy/azure/prices.json")
	if err != nil {
		t.Fatal(err)
	}
	var p prices
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	const mark = "<!-- costs -->\n"
	parts := strings.Split(string(text), mark)
	if len(parts) != 3 {
		t.Fatalf("the guide has %d marks %q, not 2", len(parts)-1, mark)
	}
	if parts[1] == p.table() {
		return
	}
	if !*update {
		t.Fatal("the guide's table of costs is not that of prices.json: go test ./tests/azure -run TestCosts -update")
	}
	parts[1] = p.table()
	if err := os.WriteFile(guide, []byte(strings.Join(parts, mark)), 0o600); err != nil {
		t.Fatal(err)
	}
}
