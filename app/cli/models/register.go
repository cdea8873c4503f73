package models

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/cli/client"
	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/scoring"
)

// registerFlags are the flags of the command register.
type registerFlags struct {
	terms

	from          string
	version       client.Registration
	source        catalog.Source
	metrics, tags []string
}

// register makes the command register.
func (s *settings) register() *cobra.Command {
	f := &registerFlags{}
	cmd := s.command("register [NAME] --from DIR | NAME --location URL", "add a version of a model, after the server has tried it", command.Between(0, 1),
		func(ctx context.Context, s *session, args []string) error {
			if err := f.check(args); err != nil {
				return err
			}
			name := ""
			if len(args) == 1 {
				name = args[0]
			}
			if f.from != "" {
				return s.registerFolder(ctx, name, f)
			}
			return s.registerVersion(ctx, name, f)
		})
	cmd.Example = "  onda models register --from models/faq-matching/2           # name and version from model.yaml\n" +
		"  onda models register faq-matching --from export --commit 4e1f0c2 --metric accuracy=0.93\n" +
		"  onda models register faq-matching --location azblob://models/faq/3"
	f.declare(cmd)
	cmd.ValidArgsFunction = s.arguments(models)
	return cmd
}

func (f *registerFlags) declare(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "folder of the version on this machine; what is in it is uploaded")
	flags.StringVar(&f.version.Location, "location", "", "URL of the folder that the server shall read, such as azblob://models/faq/3")
	flags.Int64Var(&f.version.Version, "version", 0, "number of the version; 0 takes that of model.yaml in the folder of --from, or else the next one. "+
		"A model.yaml at a --location must say the number that the version gets")
	flags.StringVar(&f.version.Description, "description", "", "what the version is, in a sentence")
	flags.StringVar(&f.version.Licence, "licence", "", "licence as an SPDX expression")
	flags.StringVar(&f.version.Framework, "framework", "", "framework that it was made with")
	flags.StringVar(&f.source.Commit, "commit", "", "commit of the training code")
	flags.StringVar(&f.source.Dataset, "dataset", "", "data that it was trained on")
	flags.StringArrayVar(&f.metrics, "metric", nil, "NAME=NUMBER measured when it was made; may be repeated")
	flags.StringArrayVar(&f.tags, "tag", nil, "NAME=TEXT of your own; may be repeated")
	f.terms.declare(cmd)
	_ = cmd.MarkFlagDirname("from") // the flag is there
	for _, name := range []string{"location", "version", "description", "licence", "framework", "commit", "dataset", "metric", "tag"} {
		command.Complete(cmd, name, command.Nothing)
	}
}

// check says what is wrong with arguments and flags, and puts the flags into the version.
func (f *registerFlags) check(args []string) error {
	switch {
	case f.from == "" && f.version.Location == "":
		return badArgument("where are the files? want --from DIR or --location URL")
	case f.from != "" && f.version.Location != "":
		return badArgument("--from and --location say two things: want one")
	case len(args) == 0 && f.from == "":
		return badArgument("the name of the model is missing")
	case f.version.Version < 0:
		return badArgument("--version %d: want a positive whole number", f.version.Version)
	}
	if len(args) == 1 {
		if err := checkModel(args[0]); err != nil {
			return err
		}
	}
	if f.source != (catalog.Source{}) {
		f.version.Source = &f.source
	}
	if err := f.terms.check(); err != nil {
		return err
	}
	return f.pairs()
}

// pairs reads --metric and --tag.
func (f *registerFlags) pairs() error {
	for _, text := range f.metrics {
		name, value, _ := strings.Cut(text, "=")
		x, err := strconv.ParseFloat(value, 64)
		if name == "" || err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
			return badArgument("--metric %q: want a name and a number, such as accuracy=0.93", text)
		}
		put(&f.version.Metrics, name, x)
	}
	for _, text := range f.tags {
		name, value, ok := strings.Cut(text, "=")
		if name == "" || !ok {
			return badArgument("--tag %q: want a name and a text, such as team=search", text)
		}
		put(&f.version.Tags, name, value)
	}
	return nil
}

// put sets a value in a map that may not be there yet.
func put[V any](m *map[string]V, name string, value V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[name] = value
}

// registerFolder uploads a folder and registers it.
func (s *session) registerFolder(ctx context.Context, name string, f *registerFlags) error {
	s.still = "nothing was sent"
	dir, err := openFolder(f.from)
	if err != nil {
		return err
	}
	defer dir.close()
	if name, err = f.agree(name, dir); err != nil {
		return err
	}
	hashing := s.stage(fmt.Sprintf("reading %s, %s", plural(int64(len(dir.files)), "file", "files"), bytesText(dir.total())), dir.total(), true)
	err = dir.digest(ctx, hashing.set)
	hashing.end()
	if err != nil {
		return err
	}
	s.still = "no version was registered; files that were sent are kept, and not sent again"
	if err := s.upload(ctx, dir.files); err != nil {
		return err
	}
	f.version.Location, f.version.Files = catalog.InStore, dir.sums()
	return s.registerVersion(ctx, name, f)
}

// agree takes name and version from model.yaml where they were not given. Where they were,
// they must be the same: the server takes no folder that says it is another's.
func (f *registerFlags) agree(name string, dir *folder) (string, error) {
	m := dir.manifest
	switch {
	case m == nil && name == "":
		return "", badArgument("the name of the model is missing, and %s has no %s with one", dir.dir, manifestFile)
	case m == nil:
		return name, nil
	case name != "" && m.Name != name:
		return "", fmt.Errorf("%s says name: %s, the command line %s: want the same", manifestFile, client.Clean(m.Name), name)
	case f.version.Version != 0 && f.version.Version != m.Version:
		return "", fmt.Errorf("%s says version: %d, the command line %d: want the same", manifestFile, m.Version, f.version.Version)
	}
	f.version.Version = m.Version
	return m.Name, checkModel(m.Name)
}

// upload sends the files that the server does not have.
func (s *session) upload(ctx context.Context, files []localFile) error {
	var missing []*localFile
	var total int64
	asked := map[string]bool{}
	for i := range files {
		file := &files[i]
		if asked[file.SHA256] {
			continue // the same content under another name
		}
		asked[file.SHA256] = true
		has, err := s.client.HasBlob(ctx, file.SHA256)
		if err != nil {
			return err
		}
		if !has {
			missing = append(missing, file)
			total += file.Size
		}
	}
	if len(missing) == 0 {
		s.note("the server has all files already")
		return nil
	}
	sending := s.stage(fmt.Sprintf("sending %d of %s, %s", len(missing), plural(int64(len(files)), "file", "files"), bytesText(total)), total, true)
	defer sending.end()
	var done int64
	for _, file := range missing {
		err := s.client.Upload(ctx, client.Blob{
			SHA256: file.SHA256, Size: file.Size, Open: file.open,
			Sent: func(bytes int64) { sending.set(done + bytes) },
			Again: func(err error) {
				sending.again("%s: %s; trying again", client.Clean(file.name), client.Clean(err.Error()))
			},
		})
		if err != nil {
			return fmt.Errorf("send %s: %w", file.name, err)
		}
		done += file.Size
		sending.set(done)
	}
	return nil
}

// registerVersion registers a version whose files the server can read.
func (s *session) registerVersion(ctx context.Context, name string, f *registerFlags) error {
	s.still = mayGoOn(name)
	stages := &stages{screen: s.screen}
	wanted := "a new version"
	if f.version.Version != 0 {
		wanted = fmt.Sprintf("version %d", f.version.Version)
	}
	registered, raw, err := s.client.Register(ctx, name, f.version, client.Terms{Reason: f.reason, Accept: f.accept, Revision: f.revision, Progress: stages.tell})
	stages.end()
	if err != nil {
		return s.refused(ctx, name, wanted, f.revision, err)
	}
	// How the model stands now is known to nobody if this fails: then less is said.
	model, _, _ := s.client.Model(ctx, name)
	if registered.Report == nil {
		return s.endKnown(name, registered, raw, f, model)
	}
	return s.answer(raw, func() { s.showRegistered(name, registered, model) })
}

// endKnown ends a registration of what was registered before. That it cannot be used any more
// is a failure: whoever registers a version wants to use it.
func (s *session) endKnown(name string, r *client.Registered, raw []byte, f *registerFlags, m *client.Model) error {
	v := r.Version
	known := fmt.Sprintf("%s version %d was registered before, by %s %s", name, v.Version, client.Clean(v.RegisteredBy), ago(v.RegisteredAt, time.Now()))
	standing := catalog.Standing("")
	if m != nil {
		standing = m.Standing[v.Version]
	}
	err := s.answer(raw, func() {
		if standing == "" {
			s.print("%s: nothing to change", known)
		}
		if others := f.differ(&v); len(others) > 0 {
			s.print("What was registered does not change, and says other things than %s.", strings.Join(others, ", "))
		}
	})
	switch {
	case err != nil || standing == "":
		return err
	case standing == catalog.Retired:
		return &command.ExitError{Code: command.Failed, Text: known + " and is retired, which cannot be undone: register the files under another number"}
	default:
		return &command.ExitError{Code: command.Failed, Text: fmt.Sprintf("%s and is %s\nIf it is meant to answer all the same: onda models label %s live %d --accept %s",
			known, client.Clean(strings.ReplaceAll(string(standing), "_", " ")), name, v.Version, catalog.AcceptRolledBack)}
	}
}

// differ lists the flags that say something else than the version that was registered.
func (f *registerFlags) differ(v *catalog.Version) []string {
	var flags []string
	for _, one := range []struct{ flag, said, has string }{
		{"--description", f.version.Description, v.Description},
		{"--licence", f.version.Licence, v.Licence},
		{"--framework", f.version.Framework, v.Framework},
		{"--commit", f.source.Commit, v.Source.Commit},
		{"--dataset", f.source.Dataset, v.Source.Dataset},
	} {
		if one.said != "" && one.said != one.has {
			flags = append(flags, one.flag)
		}
	}
	for _, name := range sortedKeys(f.version.Metrics) {
		if had, ok := v.Metrics[name]; !ok || had != f.version.Metrics[name] {
			flags = append(flags, "--metric "+name)
		}
	}
	for _, name := range sortedKeys(f.version.Tags) {
		if had, ok := v.Tags[name]; !ok || had != f.version.Tags[name] {
			flags = append(flags, "--tag "+name)
		}
	}
	return flags
}

func (s *session) showRegistered(name string, r *client.Registered, m *client.Model) {
	v := r.Version
	s.print("%s version %d is registered, digest %s", name, v.Version, client.Clean(shortDigest(v.Digest)))
	report := r.Report
	var parts []string
	for _, part := range []struct{ text, value string }{
		{"%s of files", size(report.SizeBytes)},
		{"%s of memory", size(report.MemoryBytes)},
		{"loads in %s", milliseconds(report.LoadMS)},
		{"runs in %s", milliseconds(report.RunMS)},
	} {
		if part.value != "" {
			parts = append(parts, fmt.Sprintf(part.text, part.value))
		}
	}
	if len(parts) > 0 {
		s.print("  %s", strings.Join(parts, ", "))
	}
	if golden := report.Golden; golden.Cases > 0 {
		s.print("  %s: the largest difference is %s", plural(int64(golden.Cases), "golden answer", "golden answers"), difference(golden.MaxDifference))
	}
	for _, warning := range report.Warnings {
		s.print("  warning: %s", client.Clean(warning))
	}
	if hint := nextStep(name, v.Version, m); hint != "" {
		s.note("%s", hint)
	}
}

// nextStep says how a version gets requests; "" where it answers already. A rollout needs a
// live version to begin with.
func nextStep(name string, version int64, m *client.Model) string {
	if m != nil && m.Serving != nil && m.Serving.Labels[scoring.LabelLive] == version {
		return ""
	}
	hint := fmt.Sprintf("It gets requests with \"onda models label %s live %d\"", name, version)
	if m != nil && m.Labels[scoring.LabelLive] != 0 {
		hint += fmt.Sprintf(", or step by step with \"onda models rollout %s %d\"", name, version)
	}
	return hint + "."
}
