// Package app_test keeps the design true: which package may import what, that every
// package says what it is, and that only those who may read the environment, print or
// exit do so.
package app_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/onda-serving/onda/"

// only lists imports that belong to few packages. A path ends in a slash where it means
// everything below it.
var only = map[string][]string{
	"github.com/yalue/onnxruntime_go":            {"app/onnx"},
	"github.com/dapr/go-sdk/":                    {"app/sidecar"},
	"github.com/kelseyhightower/envconfig":       {"app/config", "app/portal"},
	"github.com/prometheus/":                     {"app/telemetry"},
	"github.com/ebitengine/purego":               {"app/telemetry/gpu"},
	"go.opentelemetry.io/":                       {"app/telemetry/spans", "app/telemetry/tracing", "app/telemetry/tracing/tracingtest"},
	"google.golang.org/grpc/":                    {"app/sidecar", "app/ingress/grpcapi", "app/ingress/inferencepb", "app/sidecar/sidecartest", "app/telemetry/tracing/tracingtest"},
	module + "app/onnx":                          {"app/lifecycle"},
	module + "app/sidecar":                       {"app/lifecycle"},
	module + "app/config":                        {"app/cli", "app/lifecycle"},
	module + "app/lifecycle":                     {"app/cli"},
	module + "app/cli":                           {"app/cmd/onda"},
	module + "app/engine":                        {"app/lifecycle", "app/replica"},
	module + "app/portal":                        {"app/cmd/portal", "app/portal/portaltest", "tests/browser"},
	module + "app/ingress/":                      {"app/lifecycle", "app/ingress/grpcapi", "app/ingress/registryapi", "app/ingress/eventsapi", "app/ingress/events/asyncapi", "app/ingress/events/asyncapi/gen"},
	module + "app/ingress/operator/operatortest": {},
	"github.com/Azure/azure-sdk-for-go/":         {"app/artifact/blobs", "app/artifact/blobs/blobstest"},
	"golang.org/x/oauth2":                        {"app/artifact/blobs/gcs"},
	"golang.org/x/oauth2/":                       {"app/artifact/blobs/gcs"},
	"cloud.google.com/go/":                       {"app/artifact/blobs/gcs"},
	// Google's own client of its storage is a third of a program that has it.
	"cloud.google.com/go/storage":                {},
	"gocloud.dev/blob/gcsblob":                   {},
	module + "app/artifact/blobs/gcs":            {"app/artifact/blobs"},
	module + "app/artifact/blobs/gcs/gcstest":    {},
	"gocloud.dev/":                               {"app/artifact/blobs"},
	"github.com/spf13/":                          {"app/cli", "app/cli/command", "app/cli/models", "app/cli/events", "app/cli/score"},
	"golang.org/x/term":                          {"app/cli/models", "app/cli/events", "app/cli/score"},
	"github.com/rivo/uniseg":                     {"app/cli/models"},
	module + "app/cli/":                          {"app/cli", "app/cli/models", "app/cli/events", "app/cli/score"},
	"github.com/schollz/progressbar/":            {"app/cli/models", "app/cli/score"},
	module + "app/offline":                       {"app/lifecycle", "app/cli/score"},
	"github.com/parquet-go/":                     {"app/offline"},
	module + "app/replica":                       {"app/lifecycle"},
	module + "app/supply":                        {"app/lifecycle"},
	module + "app/admin":                         {"app/lifecycle", "app/replica", "app/supply", "app/ingress/registryapi"},
	module + "app/sidecar/sidecartest":           {},
	module + "app/telemetry/tracing/tracingtest": {},
	module + "app/catalog/catalogtest":           {},
	module + "app/artifact/blobs/blobstest":      {},
	module + "app/onnx/onnxtest":                 {},
	"github.com/stretchr/testify/":               {},
	// net/http wants a logger of this type for its own errors.
	"log":                             {"app/portal", "app/lifecycle"},
	"gopkg.in/yaml.v3":                {},
	"github.com/sirupsen/logrus":      {},
	"github.com/chromedp/chromedp":    {},
	"github.com/dapr/dapr/pkg/proto/": {"app/sidecar", "app/sidecar/sidecartest"},
	"google.golang.org/protobuf/":     {"app/ingress/grpcapi", "app/ingress/inferencepb", "app/sidecar/sidecartest", "app/telemetry/tracing/tracingtest", "app/triton", "app/triton/configpb"},
}

// ours lists what a package may import of this module. Packages that are not listed put
// things together and may import what they need.
var ours = map[string][]string{
	"app/scoring":                 {},
	"app/wire":                    {"app/scoring"},
	"app/admit":                   {"app/scoring"},
	"app/cache":                   {"app/scoring"},
	"app/pool":                    {},
	"app/pipeline":                {"app/scoring", "app/pipeline/internal/jpeg"},
	"app/onnx":                    {"app/scoring", "app/onnx/internal/pb"},
	"app/triton":                  {"app/scoring", "app/triton/configpb"},
	"app/artifact":                {"app/scoring", "app/pipeline", "app/triton", "app/triton/configpb"},
	"app/sidecar":                 {"app/scoring", "app/telemetry/spans"},
	"app/config":                  {},
	"app/batch":                   {"app/scoring", "app/admit", "app/telemetry/spans"},
	"app/statistics":              {"app/scoring"},
	"app/catalog":                 {"app/scoring"},
	"app/compare":                 {"app/scoring"},
	"app/golden":                  {"app/scoring", "app/wire", "app/compare"},
	"app/verify":                  {"app/scoring", "app/artifact", "app/catalog", "app/golden"},
	"app/artifact/blobs":          {"app/scoring", "app/artifact", "app/catalog", "app/artifact/blobs/gcs"},
	"app/artifact/blobs/gcs":      {},
	"app/artifact/diskcache":      {"app/scoring", "app/artifact", "app/artifact/blobs", "app/catalog"},
	"app/judge":                   {"app/scoring", "app/catalog", "app/statistics"},
	"app/registry":                {"app/scoring", "app/admit", "app/pipeline", "app/artifact", "app/batch", "app/catalog", "app/statistics", "app/triton", "app/triton/configpb"},
	"app/follow":                  {"app/scoring", "app/catalog", "app/judge", "app/registry", "app/statistics"},
	"app/admin":                   {"app/scoring", "app/artifact", "app/catalog", "app/judge", "app/statistics", "app/verify"},
	"app/ingress/operator":        {"app/scoring", "app/wire"},
	"app/ingress/registryapi":     {"app/scoring", "app/admin", "app/catalog", "app/ingress/operator"},
	"app/catalog/catalogtest":     {"app/scoring"},
	"app/engine":                  {"app/scoring", "app/registry", "app/batch", "app/cache", "app/admit", "app/compare", "app/telemetry/spans"},
	"app/telemetry":               {"app/scoring", "app/batch", "app/cache", "app/compare", "app/telemetry/spans"},
	"app/telemetry/spans":         {"app/scoring"},
	"app/telemetry/tracing":       {"app/telemetry/spans"},
	"app/telemetry/gpu":           {"app/telemetry"},
	"app/ingress/httpapi":         {"app/scoring", "app/admit", "app/answers", "app/async", "app/wire", "app/registry", "app/triton", "app/telemetry/spans"},
	"app/ingress/grpcapi":         {"app/scoring", "app/admit", "app/registry", "app/wire", "app/ingress/inferencepb", "app/telemetry/spans"},
	"app/ingress/mux":             {},
	"app/ingress/events":          {"app/scoring", "app/admit", "app/answers", "app/wire", "app/telemetry/spans"},
	"app/answers":                 {"app/scoring"},
	"app/ingress/events/asyncapi": {"app/ingress/events", "app/scoring", "app/wire"},
	"app/offline":                 {"app/scoring", "app/wire"},
	"app/cli/score":               {"app/offline", "app/scoring", "app/cli/command"},
	"app/deadletters":             {"app/scoring", "app/wire"},
	"app/ingress/eventsapi":       {"app/scoring", "app/deadletters", "app/ingress/operator"},
	"app/cli/events":              {"app/deadletters", "app/cli/client", "app/cli/command"},
	"app/async":                   {"app/scoring", "app/answers", "app/wire"},
	"app/dataref":                 {"app/scoring", "app/admit", "app/artifact/blobs"},
	"app/cli/command":             {},
	"app/cli/client":              {"app/catalog", "app/deadletters"},
	"app/cli/models":              {"app/artifact", "app/catalog", "app/scoring", "app/cli/client", "app/cli/command"},
	"app/portal":                  {},
}

// file is a Go file of the product, not a test.
type file struct {
	pkg    string // folder below the repository's root, with slashes
	name   string
	syntax *ast.File
}

func files(t *testing.T) []file {
	t.Helper()
	var all []file
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		syntax, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		all = append(all, file{pkg: path.Join("app", filepath.ToSlash(filepath.Dir(name))), name: name, syntax: syntax})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Fatalf("found %d files: the test looks in the wrong place", len(all))
	}
	return all
}

func (f file) imports(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, spec := range f.syntax.Imports {
		name, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, name)
	}
	return all
}

// covers says whether the rule for pattern is about the import name.
func covers(pattern, name string) bool {
	return name == pattern || strings.HasSuffix(pattern, "/") && strings.HasPrefix(name, pattern)
}

func TestImports(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		for _, name := range f.imports(t) {
			for pattern, allowed := range only {
				if covers(pattern, name) && !contains(allowed, f.pkg) {
					t.Errorf("app/%s imports %s: that is for %v", f.name, name, allowed)
				}
			}
			below, isOurs := strings.CutPrefix(name, module)
			allowed, listed := ours[f.pkg]
			if isOurs && listed && !contains(allowed, below) {
				t.Errorf("app/%s imports %s: %s may import %v of ours", f.name, below, f.pkg, allowed)
			}
		}
	}
}

func contains(all []string, want string) bool {
	return slices.Contains(all, want)
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	t.Parallel()
	docs := map[string][]string{}
	for _, f := range files(t) {
		if _, ok := docs[f.pkg]; !ok {
			docs[f.pkg] = nil
		}
		if f.syntax.Doc != nil && !ast.IsGenerated(f.syntax) {
			docs[f.pkg] = append(docs[f.pkg], f.syntax.Doc.Text())
		}
	}
	for pkg, texts := range docs {
		switch {
		case len(texts) != 1:
			t.Errorf("%s has %d package comments, want one", pkg, len(texts))
		case !strings.HasPrefix(texts[0], "Package "+path.Base(pkg)) && !strings.HasPrefix(texts[0], "Command "+path.Base(pkg)):
			t.Errorf("the comment of %s begins with %.40q, want its name", pkg, texts[0])
		}
	}
}

// calls lists functions of the standard library that few packages may call.
var calls = map[string][]string{
	"os.Getenv":    {"app/onnx/onnxtest", "app/artifact/blobs", "app/artifact/blobs/blobstest"},
	"os.LookupEnv": {},
	"os.Environ":   {"app/config"},
	"os.Exit":      {"app/cmd/onda", "app/cmd/portal", "app/ingress/events/asyncapi/gen"},
	"fmt.Print":    {}, "fmt.Printf": {}, "fmt.Println": {},
}

func TestCalls(t *testing.T) {
	t.Parallel()
	for _, f := range files(t) {
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			selector, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := selector.X.(*ast.Ident)
			if !ok {
				return true
			}
			name := pkg.Name + "." + selector.Sel.Name
			if allowed, ruled := calls[name]; ruled && !contains(allowed, f.pkg) {
				t.Errorf("app/%s calls %s: that is for %v", f.name, name, allowed)
			}
			return true
		})
	}
}
