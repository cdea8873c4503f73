package measured_test

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/onda-serving/onda/deploy/capacity/measured"
)

// cell is a measurement of the part raw.
const raw = `{"facts": {"best batch of m": 5}, "cells": [
 {"keys": {"model": "m", "server": "raw, single rows", "rows": "1"}, "values": {"rows_per_cpu": {"median": 100}}},
 {"keys": {"model": "m", "server": "raw, best batch", "rows": "5"}, "values": {"rows_per_cpu": {"median": 250}}},
 {"keys": {"model": "m", "server": "Onda", "concurrency": "16"}, "values": {"rows_per_cpu": {"median": 50}}}]}`

func results(t *testing.T, part, text string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"raw", "batching", "overload", "dapr", "events", "peers"} {
		content := `{"cells": []}`
		if name == part {
			content = text
		}
		if err := os.WriteFile(filepath.Join(dir, name+".json"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestService draws the line through 1 row in 10 ms and 5 rows in 20 ms.
func TestService(t *testing.T) {
	t.Parallel()
	r, err := measured.Load(results(t, "raw", raw))
	if err != nil {
		t.Fatal(err)
	}
	s, err := r.Service("m", "Onda")
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range map[string][2]float64{"fixed": {s.Fixed, 0.0075}, "a row": {s.PerRow, 0.0025}, "outside": {s.Pre, 0.01}} {
		if math.Abs(v[0]-v[1]) > 1e-12 {
			t.Errorf("%s: %v s, want %v", name, v[0], v[1])
		}
	}
	if _, err := r.Service("other", "Onda"); err == nil || !strings.Contains(err.Error(), "other") {
		t.Errorf("a model that was not measured: %v", err)
	}
}

// TestLoad refuses what means nothing.
func TestLoad(t *testing.T) {
	t.Parallel()
	if _, err := measured.Load(results(t, "dapr", `{"quick": true}`)); err == nil || !strings.Contains(err.Error(), "dapr.json") {
		t.Errorf("a quick run: %v", err)
	}
	if _, err := measured.Load(t.TempDir()); err == nil || !strings.Contains(err.Error(), "make bench") {
		t.Errorf("no results: %v", err)
	}
}
