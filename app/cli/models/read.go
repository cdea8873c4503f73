package models

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/cli/client"
	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/scoring"
)

// list makes the command list.
func (s *settings) list() *cobra.Command {
	return s.command("list", "list the models, and which version of each answers", command.Exactly(0),
		func(ctx context.Context, s *session, _ []string) error {
			models, raw, err := s.client.Models(ctx)
			if err != nil {
				return err
			}
			return s.answer(raw, func() { s.showModels(models) })
		})
}

func (s *session) showModels(models []client.Model) {
	if len(models) == 0 {
		s.note("There is no model yet: register one with \"onda models register NAME --from DIR\".")
		return
	}
	slices.SortFunc(models, func(a, b client.Model) int { return cmp.Compare(a.Name, b.Name) })
	t := newTable("NAME", "LIVE", "CANARY", "VERSIONS", "TRAFFIC", "SHADOW", "ROLLOUT", "IN SYNC")
	var reasons []string
	for _, m := range models {
		rollout := cell{text: rolloutText(m.Rollout)}
		if m.Running() != nil {
			rollout.style = yellow
		}
		t.add(m.Name, liveText(&m), versionText(m.Labels[catalog.LabelCanary]), ranges(inUse(&m)),
			weights(m.Traffic), shadowText(m.Shadow), rollout, syncCell(m.Serving))
		for _, text := range notReady(&m) {
			reasons = append(reasons, m.Name+" "+text)
		}
	}
	t.show(s.screen, "")
	s.showNotReady(reasons)
}

// liveText names the version that answers. That of a model that nobody manages is the newest
// one of the models folder that the replica has loaded.
func liveText(m *client.Model) string {
	if !m.Managed() && m.Serving != nil && m.Serving.Labels[scoring.LabelLive] != 0 {
		return fmt.Sprintf("newest (%d)", m.Serving.Labels[scoring.LabelLive])
	}
	return versionText(m.Labels[scoring.LabelLive])
}

// versionsOf lists the versions that the document or the replica knows of.
func versionsOf(m *client.Model) []int64 {
	all := sortedKeys(m.Versions)
	if m.Serving != nil {
		for _, v := range m.Serving.Versions {
			all = append(all, v.Version)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// inUse lists the versions that are not retired.
func inUse(m *client.Model) []int64 {
	return slices.DeleteFunc(versionsOf(m), func(number int64) bool { return m.Standing[number] == catalog.Retired })
}

// syncCell says whether a replica does what the document asks for.
func syncCell(serving *client.Serving) cell {
	if serving == nil {
		return cell{}
	}
	return syncText(serving.InSync, serving.Reason)
}

func syncText(inSync bool, reason string) cell {
	switch {
	case inSync:
		return cell{"yes", green}
	case reason == "":
		return cell{"no", red}
	default:
		return cell{"no: " + reason, red}
	}
}

// maxEntries is how many entries the server gives at most.
const maxEntries = 1000

// history makes the command history.
func (s *settings) history() *cobra.Command {
	limit := 50
	cmd := s.command("history NAME", "list who changed what, when and why", command.Exactly(1),
		func(ctx context.Context, s *session, args []string) error {
			if err := checkModel(args[0]); err != nil {
				return err
			}
			if limit < 1 || limit > maxEntries {
				return badArgument("--limit %d: want 1 to %d", limit, maxEntries)
			}
			entries, raw, err := s.client.History(ctx, args[0], limit)
			if err != nil {
				return err
			}
			return s.answer(raw, func() {
				t := newTable("REVISION", "WHEN", "ACTOR", "ACTION", "CHANGE", "REASON")
				for _, e := range entries {
					t.add(e.Revision, ago(e.At, time.Now()), e.Actor, e.Action, entryChange(&e), e.Reason)
				}
				t.show(s.screen, "")
			})
		})
	cmd.Flags().IntVar(&limit, "limit", limit, "most changes to list, newest first")
	cmd.ValidArgsFunction = s.arguments(models)
	command.Complete(cmd, "limit", command.Nothing)
	return cmd
}

// status makes the command status.
func (s *settings) status() *cobra.Command {
	return s.command("status", "say how the replica that answers stands", command.Exactly(0),
		func(ctx context.Context, s *session, _ []string) error {
			status, raw, err := s.client.Status(ctx)
			if err != nil {
				return err
			}
			return s.answer(raw, func() { s.showStatus(ctx, status) })
		})
}

func (s *session) showStatus(ctx context.Context, status *client.Status) {
	t := newTable("REPLICA", "IN SYNC", "REVISION", "STORE", "MEMORY")
	store := cell{"reachable", green}
	if !status.Store.Reachable {
		store = cell{"lost " + ago(status.Store.Since, time.Now()), red}
		if status.Store.Error != "" {
			store.text += ": " + status.Store.Error
		}
	}
	memory := bytesText(status.Memory.Used)
	if status.Memory.Budget > 0 {
		memory += " of " + size(status.Memory.Budget)
	}
	t.add(status.Replica, syncText(status.InSync, ""), status.Revision, store, memory)
	t.show(s.screen, "")
	if len(status.Models) == 0 {
		return
	}
	s.print("")
	t = newTable("MODEL", "REVISION", "IN SYNC")
	newest := s.newest(ctx, status)
	for _, name := range sortedKeys(status.Models) {
		m := status.Models[name]
		t.add(name, revisionText(m, newest[name]), syncText(m.InSync, m.Reason))
	}
	t.show(s.screen, "")
}

// newest gives the revisions that the documents are at, if a model is not in sync: what the
// replica lacks. It is empty where nobody can say.
func (s *session) newest(ctx context.Context, status *client.Status) map[string]int64 {
	revisions := map[string]int64{}
	for _, m := range status.Models {
		if m.InSync {
			continue
		}
		models, _, err := s.client.Models(ctx)
		if err != nil {
			return nil
		}
		for _, model := range models {
			revisions[model.Name] = model.Revision
		}
		return revisions
	}
	return nil
}

// revisionText gives the revision that a replica follows, and if that is not the newest one,
// which is: "35 of 36".
func revisionText(m client.ModelStatus, newest int64) string {
	text := cmp.Or(versionText(m.Revision), "-")
	if m.InSync || newest <= m.Revision {
		return text
	}
	return fmt.Sprintf("%s of %d", text, newest)
}

// checkModel and checkVersion say what is wrong with an argument before a server is asked.
func checkModel(name string) error { return scoring.CheckName("model name", name) }
