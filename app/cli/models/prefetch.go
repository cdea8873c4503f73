package models

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/onda-serving/onda/app/artifact"
	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/cli/client"
	"github.com/onda-serving/onda/app/cli/command"
	"github.com/onda-serving/onda/app/scoring"
)

// Cache is the folder in which the replicas of this machine keep what they fetched: see
// supply.Supply, which implements it.
type Cache interface {
	// Fetch gives a version's files, every sum checked, and keeps them until release. progress
	// hears only of files that are not there yet.
	Fetch(ctx context.Context, model string, v catalog.Version, progress func(done, total int64)) (ref artifact.Ref, release func(), err error)
	// Close gives back what it holds.
	Close() error
}

const prefetchLong = `Fetch the files of versions into ONDA_ARTIFACT_CACHE of this machine, so that a
replica that starts here later finds them. Nothing is served, and nothing changes
at the server.

NAME alone means every version that requests can reach: by a label, a share of
the traffic, or as a shadow. What is there already is checked, and not fetched again.
Give ONDA_ARTIFACT_CACHE, ONDA_ARTIFACT_STORE and ONDA_ARTIFACT_SOURCES the values
that the replica has: see "onda config".

What versions there are says the server or, with --from, a file: what "onda models
list -o json" or "show NAME -o json" printed, or registry.json of another cache.`

// prefetch makes the command prefetch.
func (s *settings) prefetch() *cobra.Command {
	p := &prefetcher{}
	cmd := s.command("prefetch NAME[:VERSION|@LABEL]... | --all", "fetch files into this machine's cache before a replica starts", command.AtLeast(0),
		func(ctx context.Context, s *session, args []string) error { return p.run(ctx, s, args) })
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		p.open = func(ctx context.Context) (Cache, error) { return s.OpenCache(ctx, cmd) }
		p.in = cmd.InOrStdin()
		return run(cmd, args)
	}
	cmd.Flags().BoolVar(&p.all, "all", false, "every model that there is")
	cmd.Flags().StringVar(&p.from, "from", "", "file with the documents, - for standard input; without it the server is asked")
	cmd.Long = prefetchLong
	cmd.Example = "  onda models prefetch faq-matching image-classification:2\n  onda models prefetch --all\n" +
		"  onda models list -o json >models.json; onda models prefetch faq-matching@canary --from models.json"
	cmd.ValidArgsFunction = s.arguments(models)
	return cmd
}

// fetched is what became of a version; as JSON, a line for programs.
type fetched struct {
	Model   string `json:"model"`
	Version int64  `json:"version,omitempty"`
	// Outcome is one of the constants below.
	Outcome string `json:"outcome"`
	Files   int    `json:"files,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"`
	Digest  string `json:"digest,omitempty"`
	Error   string `json:"error,omitempty"`
}

// What became of a version.
const (
	wasFetched = "fetched"
	wasThere   = "there already"
	inFolder   = "in the models folder"
	hasFailed  = "failed"
	// unreachable is a model, and no version of it.
	unreachable = "unreachable"
)

// prefetcher is a run of the command.
type prefetcher struct {
	documents

	all  bool
	open func(context.Context) (Cache, error)

	cache Cache
	sum   map[string]int
	bytes int64
	begun map[string]bool
}

func (p *prefetcher) run(ctx context.Context, s *session, args []string) (err error) {
	p.sum, p.begun = map[string]int{}, map[string]bool{}
	refs, err := p.parse(args)
	if err != nil {
		return err
	}
	if p.cache, err = p.open(ctx); err != nil {
		return err
	}
	defer func() {
		if closed := p.cache.Close(); err == nil {
			err = closed
		}
	}()
	if err := p.documents.read(ctx, s); err != nil {
		return err
	}
	if p.all {
		for _, name := range p.names {
			refs = append(refs, scoring.ModelRef{Name: name})
		}
	}
	var held []func() // until the end, so that what comes later takes no room from what came before
	defer func() {
		for _, release := range held {
			release()
		}
	}()
	s.still = "what was fetched is kept, and not fetched again"
	for _, ref := range refs {
		releases, err := p.one(ctx, s, ref)
		held = append(held, releases...)
		if err != nil {
			return err
		}
	}
	return p.told(s)
}

// parse reads the arguments.
func (p *prefetcher) parse(args []string) (refs []scoring.ModelRef, err error) {
	switch {
	case p.all && len(args) > 0:
		return nil, badArgument("--all takes no names")
	case !p.all && len(args) == 0:
		return nil, badArgument("which models? Want their names, or --all")
	}
	for _, arg := range args {
		ref, err := scoring.ParseModelName(arg)
		if err != nil {
			return nil, err
		}
		refs = append(refs, ref)
	}
	return refs, nil
}

// one fetches what an argument names. The error is one that others would have too.
func (p *prefetcher) one(ctx context.Context, s *session, ref scoring.ModelRef) (releases []func(), err error) {
	doc, err := p.find(ref.Name)
	var versions []int64
	if err == nil {
		versions, err = named(doc, ref)
	}
	switch {
	case err != nil && p.all && errors.Is(err, errUnreachable):
		return nil, p.tell(s, fetched{Model: ref.Name, Outcome: unreachable})
	case err != nil:
		return nil, p.tell(s, fetched{Model: ref.Name, Version: ref.Version, Outcome: hasFailed, Error: messageOf(err)})
	}
	for _, number := range versions {
		key := fmt.Sprintf("%s@%d", ref.Name, number)
		if p.begun[key] {
			continue
		}
		p.begun[key] = true
		result, release := p.fetch(ctx, s, doc.Name, doc.Versions[number])
		if release != nil {
			releases = append(releases, release)
		}
		if ctx.Err() != nil {
			return releases, ctx.Err()
		}
		if err := p.tell(s, result); err != nil {
			return releases, err
		}
	}
	return releases, nil
}

// fetch fetches a version, unless it is there.
func (p *prefetcher) fetch(ctx context.Context, s *session, model string, v catalog.Version) (fetched, func()) {
	result := fetched{Model: model, Version: v.Version, Digest: v.Digest, Files: len(v.Files)}
	if v.Location == catalog.InModelsFolder {
		result.Outcome = inFolder
		return result, nil
	}
	for _, file := range v.Files {
		result.Bytes += file.Size
	}
	result.Outcome = wasThere
	var bar *stage
	_, release, err := p.cache.Fetch(ctx, model, v, func(done, total int64) {
		if bar == nil {
			result.Outcome = wasFetched
			bar = s.stage(fmt.Sprintf("fetching %s:%d, %s", model, v.Version, bytesText(total)), total, true)
		}
		bar.set(done)
	})
	if bar != nil {
		bar.end()
	}
	if err != nil {
		result.Outcome, result.Error = hasFailed, messageOf(err)
	}
	return result, release
}

// named gives the versions of a document that an argument names.
func named(doc *catalog.Model, ref scoring.ModelRef) ([]int64, error) {
	inUse := slices.DeleteFunc(slices.Collect(maps.Keys(doc.Versions)), func(number int64) bool { return doc.Standing[number] == catalog.Retired })
	there := "there is none"
	if len(inUse) > 0 {
		there = "there are " + ranges(inUse)
	}
	number := ref.Version
	switch {
	case ref.Label != "" && doc.Labels[ref.Label] == 0:
		return nil, fmt.Errorf("it has no label %q: there %s", ref.Label, few(sortedKeys(doc.Labels)))
	case ref.Label != "":
		number = doc.Labels[ref.Label]
	case number == 0:
		if all := reachable(doc, inUse); len(all) > 0 {
			return all, nil
		}
		return nil, fmt.Errorf("%w: name one, such as %s:1 (%s)", errUnreachable, doc.Name, there)
	}
	if _, ok := doc.Versions[number]; !ok {
		return nil, fmt.Errorf("it has no version %d: %s", number, there)
	}
	if doc.Standing[number] == catalog.Retired {
		return nil, fmt.Errorf("version %d is retired, and no replica loads it: %s", number, there)
	}
	return []int64{number}, nil
}

// errUnreachable says that no request reaches a model. That is a mistake where the model was
// named, and none where it is one of all.
var errUnreachable = errors.New("no label leads to any of its versions")

// reachable lists the versions that requests can reach: those of the route, or where nobody
// decided those of the models folder.
func reachable(doc *catalog.Model, inUse []int64) []int64 {
	if doc.Managed() {
		route := doc.Route()
		return route.Versions()
	}
	slices.Sort(inUse)
	return slices.DeleteFunc(inUse, func(number int64) bool { return doc.Versions[number].Location != catalog.InModelsFolder })
}

// tell writes what became of a version: a line of JSON for programs, or one for people.
func (p *prefetcher) tell(s *session, f fetched) error {
	p.sum[f.Outcome]++
	if f.Outcome == wasFetched {
		p.bytes += f.Bytes
	}
	if s.settings.output == "json" {
		return s.printJSON(f)
	}
	name := f.Model
	if f.Version != 0 {
		name = fmt.Sprintf("%s:%d", f.Model, f.Version)
	}
	var text string
	switch f.Outcome {
	case hasFailed:
		s.note("%s  %s", client.Clean(name), s.paint(client.Clean("failed: "+f.Error), red))
		return nil
	case unreachable:
		text = errUnreachable.Error() + ": nothing to fetch"
	case inFolder:
		text = "is in the models folder of its replicas: nothing to fetch"
	default:
		text = fmt.Sprintf("%s: %s of %s, every SHA-256 verified, digest %s", f.Outcome, plural(int64(f.Files), "file", "files"), bytesText(f.Bytes), shortDigest(f.Digest))
	}
	s.print("%s  %s", client.Clean(name), client.Clean(text))
	return nil
}

// told says how it went in all. A failure of one is one of the command.
func (p *prefetcher) told(s *session) error {
	text := fmt.Sprintf("%s fetched (%s), %d there already", plural(int64(p.sum[wasFetched]), "version", "versions"), bytesText(p.bytes), p.sum[wasThere]+p.sum[inFolder])
	if failed := p.sum[hasFailed]; failed > 0 {
		return &command.ExitError{Code: command.Failed, Text: fmt.Sprintf("%s, %d failed", text, failed)}
	}
	s.note("%s", text)
	return nil
}

// messageOf is what people read of an error.
func messageOf(err error) string {
	if public, ok := errors.AsType[*scoring.Error](err); ok {
		return public.Message
	}
	return err.Error()
}
