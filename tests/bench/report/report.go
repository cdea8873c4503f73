// Package report writes tests/bench/RESULTS.md and its plots out of the results that the
// parts of the bench left. Nothing in them is written by hand.
package report

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onda-serving/onda/tests/bench/suite"
)

// page is RESULTS.md while it is written.
type page struct {
	strings.Builder

	dir     string // of the results; plots go there too
	targets []target
	plots   map[string]string // by file name
}

// section writes a part.
type section struct {
	title string
	write func(*page, suite.Result)
}

// sections are the parts by name.
var sections = map[string]section{
	"raw":        {"Over ONNX Runtime itself", (*page).raw},
	"batching":   {"Batching", (*page).batching},
	"overload":   {"Overload", (*page).overload},
	"dapr":       {"What Dapr costs", (*page).dapr},
	"events":     {"Events beside calls", (*page).events},
	"lanes":      {"A backlog beside those who wait", (*page).lanes},
	"peers":      {"Beside what users would pick instead", (*page).peers},
	"preprocess": {"JPEG to tensor, beside Pillow", (*page).preprocess},
	"swap":       {"Replacing a model under load", (*page).swap},
	"models":     {"More models than memory", (*page).many},
}

// Write writes the page above the folder of the results.
func Write(dir string) error {
	p := &page{dir: dir, plots: map[string]string{}}
	var parts []suite.Result
	var body strings.Builder
	for _, name := range suite.Parts {
		r, err := suite.Load(dir, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read results of %s: %w", name, err)
		}
		parts = append(parts, r)
		p.Reset()
		p.part(r)
		body.WriteString(p.String())
	}
	p.Reset()
	p.head(parts)
	if err := p.reasons(); err != nil {
		return err
	}
	p.WriteString(body.String())
	for _, name := range slices.Sorted(maps.Keys(p.plots)) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(p.plots[name]), 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(filepath.Dir(dir), "RESULTS.md"), []byte(p.String()), 0o600)
}

// say writes a line.
func (p *page) say(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// head says what it is all about, and how the targets fared.
func (p *page) head(parts []suite.Result) {
	p.say("# Benchmark results\n")
	p.say("Written by `make bench`; only the reasons for missed targets are people's. The numbers of each measurement, round by round, are in")
	p.say("[results](results).\n")
	p.say("How it is measured: the programs run on one machine and share its cores. Variants take turns, round after round")
	p.say("(A B C A B C ...), so that what disturbs the machine disturbs all of them; a number is the median of the rounds, with")
	p.say("the least and the greatest in brackets, and a ratio is the median of the rounds' ratios. The load generator is a")
	p.say("process of its own. Throughput comes from a closed loop; latency under a load from an open loop, counted from when")
	p.say("each request was due, so that a server that stalls cannot hide it; there the generator has a higher priority than the")
	p.say("server where the system allows that, as if it were on another machine. Because the generator takes CPU time too,")
	p.say("throughput is also given per second of the server's own CPU time (user and system): that ratio is the one that")
	p.say("means the same on every machine.\n")
	if len(parts) == 0 {
		p.say("Nothing has been measured yet.")
		return
	}
	p.say("| part | machine | commit | date | took |\n|---|---|---|---|---|")
	quick := false
	for _, r := range parts {
		quick = quick || r.Quick
		p.say("| %s | %s, %d cores, %.0f GiB | %s | %s | %.0f s |", r.Part, r.Machine.CPU, r.Machine.Cores, r.Machine.MemoryGiB, r.Commit, r.Date, r.Seconds)
	}
	p.say("")
	p.versions(parts)
	if quick {
		p.say("**Some of these are quick runs: they show that the bench works, and measure nothing.**\n")
	}
	p.say("## Targets\n")
	p.say("| part | target | wanted | measured | |\n|---|---|---|---|---|")
	for _, t := range p.targets {
		p.say("| %s | %s | %s | %s | %s |", t.part, t.what, t.wanted(), t.measured(), t.verdict())
	}
	p.say("")
}

// reasonsFile says, in words of people, why targets were missed.
const reasonsFile = "REASONS.md"

// reasons adds what people found out about the targets that were missed.
func (p *page) reasons() error {
	text, err := os.ReadFile(filepath.Join(p.dir, reasonsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	p.say("## Where a target is missed, and why\n")
	p.say("%s\n", strings.TrimSpace(string(text)))
	return nil
}

// versions lists what took part.
func (p *page) versions(parts []suite.Result) {
	all := map[string]string{}
	for _, r := range parts {
		maps.Copy(all, r.Versions)
	}
	list := make([]string, 0, len(all))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, name+" "+all[name])
	}
	p.say("%s.\n", strings.Join(list, ", "))
}

// part writes a part: how to measure it again, its tables, and what could not be measured.
func (p *page) part(r suite.Result) {
	s := sections[r.Part]
	p.say("## %s\n", s.title)
	quick := ""
	if r.Quick {
		quick = " QUICK=1"
	}
	p.say("```sh\nmake bench PARTS=%s%s\n```\n", r.Part, quick)
	s.write(p, r)
	missing := map[string]bool{}
	for _, c := range r.Cells {
		if c.Error == "" {
			continue
		}
		line := fmt.Sprintf("- not measured: %s: %s", describe(c.Keys), strings.ReplaceAll(clip(c.Error), "|", "/"))
		if !missing[line] {
			missing[line] = true
			p.say("%s", line)
		}
	}
	for _, note := range r.Notes {
		p.say("- %s", note)
	}
	if len(missing)+len(r.Notes) > 0 {
		p.say("")
	}
}

func clip(text string) string {
	const most = 200
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > most {
		return text[:most] + " ..."
	}
	return text
}

// describe writes keys in the order of their names.
func describe(keys map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		if name != "wire" && keys[name] != "" {
			parts = append(parts, name+" "+keys[name])
		}
	}
	return strings.Join(parts, ", ")
}

// plot adds a picture to the page.
func (p *page) plot(name, what, svg string) {
	p.plots[name] = svg
	p.say("![%s](results/%s)\n", what, name)
}
