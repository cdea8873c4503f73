package models

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/cli/client"
	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/scoring"
)

// show makes the command show.
func (s *settings) show() *cobra.Command {
	cmd := s.command("show NAME", "show a model: its versions, signature and rollout", command.Exactly(1),
		func(ctx context.Context, s *session, args []string) error {
			if err := checkModel(args[0]); err != nil {
				return err
			}
			model, raw, err := s.client.Model(ctx, args[0])
			if err != nil {
				return err
			}
			return s.answer(raw, func() { s.showModel(ctx, model) })
		})
	cmd.ValidArgsFunction = s.arguments(models)
	return cmd
}

func (s *session) showModel(ctx context.Context, m *client.Model) {
	s.print("%s  %s", s.paint(client.Clean(m.Name), bold), headline(m))
	if m.Serving != nil && !m.Serving.InSync {
		s.print("%s", s.paint("this replica is not in sync: "+cmp.Or(client.Clean(m.Serving.Reason), "it says no reason"), red))
	}
	s.print("")
	s.showVersions(m)
	s.showSignature(m)
	if m.Rollout != nil {
		s.showRollout(ctx, m)
	}
}

// headline says in a line how a model stands.
func headline(m *client.Model) string {
	if !m.Managed() && m.Serving != nil && m.Serving.Labels[scoring.LabelLive] == 0 {
		return "not managed: no version answers yet: give one the label live"
	}
	if !m.Managed() {
		return "not managed: the newest version of the models folder answers"
	}
	state := stateText(&m.State)
	if m.Previous != 0 {
		live := fmt.Sprintf("live %d", m.Labels[scoring.LabelLive])
		state = strings.Replace(state, live, fmt.Sprintf("%s (before: %d)", live, m.Previous), 1)
	}
	return client.Clean(fmt.Sprintf("revision %d: %s", m.Revision, state))
}

func (s *session) showVersions(m *client.Model) {
	served, dealt, labels := servedOf(m), shares(&m.State), labelsOf(m)
	t := newTable("VERSION", "STATE", "LABELS", "SHARE", "SIZE", "MEMORY", "REGISTERED", "BY", "DIGEST")
	for _, number := range versionsOf(m) {
		v, live := m.Versions[number], served[number]
		share := ""
		if dealt[number] > 0 {
			share = percent(dealt[number])
		}
		memory := "" // of a version that is not loaded nothing is in it
		if live.State == "available" {
			memory = size(cmp.Or(live.MemoryBytes, v.MemoryBytes))
		}
		t.add(number, stateCell(m.Standing[number], live.State), strings.Join(labels[number], " "), share,
			size(v.SizeBytes), memory, ago(v.RegisteredAt, time.Now()), v.RegisteredBy, shortDigest(v.Digest))
	}
	t.show(s.screen, "")
	s.showNotReady(notReady(m))
}

// labelsOf gives the labels of each version: as the document has them, and for a model that
// nobody manages as the replica does.
func labelsOf(m *client.Model) map[int64][]string {
	labels := m.Labels
	if len(labels) == 0 && m.Serving != nil {
		labels = m.Serving.Labels
	}
	all := map[int64][]string{}
	for _, label := range sortedKeys(labels) {
		all[labels[label]] = append(all[labels[label]], label)
	}
	return all
}

// stateCell says how a version stands: what is known against it, and what the replica does
// with it.
func stateCell(standing catalog.Standing, served string) cell {
	styles := map[string]style{"available": green, "failed": red, "loading": yellow}
	c := cell{served, styles[served]}
	if standing != "" {
		c.text = strings.ReplaceAll(string(standing), "_", " ")
		c.style = dim
		if served != "" && served != "unloaded" {
			c.text += ", " + served
		}
	}
	return c
}

// shortDigest is what people compare: twelve digits.
func shortDigest(digest string) string {
	digits := strings.TrimPrefix(digest, "sha256:")
	return digits[:min(len(digits), 12)]
}

// showSignature shows the inputs and outputs of the version that answers.
func (s *session) showSignature(m *client.Model) {
	live := m.Labels[scoring.LabelLive]
	if live == 0 && m.Serving != nil {
		live = m.Serving.Labels[scoring.LabelLive]
	}
	v, ok := m.Versions[live]
	if !ok || len(v.Inputs)+len(v.Outputs) == 0 {
		return
	}
	s.print("\nSignature of version %d, pipeline %s", live, client.Clean(cmp.Or(v.Pipeline, "none")))
	t := newTable("", "NAME", "DATATYPE", "SHAPE")
	for _, in := range v.Inputs {
		t.add("input", in.Name, in.Datatype, shape(in.Shape))
	}
	for _, out := range v.Outputs {
		t.add("output", out.Name, out.Datatype, shape(out.Shape))
	}
	t.show(s.screen, "  ")
}

// shape gives a shape as "[-1, 3, 224, 224]".
func shape(dimensions []int64) string {
	return strings.ReplaceAll(fmt.Sprint(dimensions), " ", ", ")
}
