package conformance_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// reportFile is beside the tests. Nothing in it depends on time or machine but the locale
// en_US.UTF-8, which the strings of some models need.
const reportFile = "REPORT.md"

// report writes down what came of the models, or sees to it that the file says so already.
// Whoever works on a machine that lacks something is told and not stopped; CI has to agree.
func report(t *testing.T, all []way, results []result) {
	t.Helper()
	text := write(all, results)
	summary, _, _ := strings.Cut(text, "\n## ")
	t.Log("\n" + summary)
	if t.Failed() {
		return // the report of the last good run stays
	}
	if *update {
		if err := os.WriteFile(reportFile, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have, err := os.ReadFile(reportFile)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if string(have) == text {
		return
	}
	const stale = "tests/conformance/" + reportFile + " says something else: make conformance writes it anew"
	if ondatest.InCI() {
		t.Error(stale)
	} else {
		t.Log(stale)
	}
}

// write makes the report.
func write(all []way, results []result) string {
	var b strings.Builder
	b.WriteString("# Onda on the models of ONNX's backend tests\n\n")
	fmt.Fprintf(&b, "Written by `make conformance`. %d models of the Debian package libonnx-testdata, each served by Onda and asked with the\n"+
		"inputs of the corpus by every way of the Open Inference Protocol that can carry them. A model passes where all answers are\n"+
		"the same to the last bit, and within the tolerances of the corpus (absolute 1e-7, relative 1e-3) of its\n"+
		"expected outputs. Any other outcome is proved in the same run, without Onda, by the model's file or by ONNX Runtime itself.\n\n", len(results))
	writeTable(&b, results)
	b.WriteString("\n")
	writeWays(&b, all, results)
	for _, k := range []kind{failed, notRunnable, differs, random, unserved} {
		writeReasons(&b, k, results)
	}
	return b.String()
}

// writeTable counts the kinds by group.
func writeTable(b *strings.Builder, results []result) {
	counts := map[kind]map[string]int{}
	groups := map[string]bool{}
	for _, r := range results {
		if counts[r.kind] == nil {
			counts[r.kind] = map[string]int{}
		}
		counts[r.kind][r.group]++
		groups[r.group] = true
	}
	names := slices.Sorted(maps.Keys(groups))
	fmt.Fprintf(b, "| outcome | all | %s |\n|---|%s\n", strings.Join(names, " | "), strings.Repeat("---:|", len(names)+1))
	for _, k := range []kind{passed, notRunnable, differs, random, unserved, failed} {
		sum, cells := 0, make([]string, 0, len(names))
		for _, name := range names {
			sum += counts[k][name]
			cells = append(cells, strconv.Itoa(counts[k][name]))
		}
		fmt.Fprintf(b, "| %s | %d | %s |\n", k, sum, strings.Join(cells, " | "))
	}
}

// writeWays counts the passed models by way.
func writeWays(b *strings.Builder, all []way, results []result) {
	b.WriteString("| way | passed | its form cannot carry the values |\n|---|---:|---:|\n")
	for _, w := range all {
		asked, without := 0, 0
		for _, r := range results {
			switch {
			case r.kind != passed:
			case slices.Contains(r.without, w.name):
				without++
			default:
				asked++
			}
		}
		fmt.Fprintf(b, "| %s | %d | %d |\n", w.name, asked, without)
	}
}

// writeReasons lists the models of a kind by reason.
func writeReasons(b *strings.Builder, k kind, results []result) {
	byReason := map[string][]string{}
	for _, r := range results {
		if r.kind == k {
			byReason[r.reason] = append(byReason[r.reason], r.group+"/"+strings.TrimPrefix(r.name, "test_"))
		}
	}
	if len(byReason) == 0 {
		return
	}
	fmt.Fprintf(b, "\n## %s\n\n| reason | models |\n|---|---|\n", strings.ToUpper(string(k[:1]))+string(k[1:]))
	for _, reason := range slices.Sorted(maps.Keys(byReason)) {
		fmt.Fprintf(b, "| %s | %s |\n", strings.ReplaceAll(reason, "|", "/"), strings.Join(byReason[reason], ", "))
	}
}
