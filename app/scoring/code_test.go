package scoring_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"

	"github.com/onda-serving/onda/app/scoring"
)

// line is what every door answers for a code, written down a second time: a change of
// the table is a change of the contract, and must be made on purpose.
type line struct {
	code    scoring.Code
	name    string
	http    int
	grpc    codes.Code
	outcome scoring.Outcome
}

var lines = []line{
	{scoring.Invalid, "Invalid", 400, codes.InvalidArgument, scoring.DeadLetter},
	{scoring.UnsupportedMedia, "UnsupportedMedia", 415, codes.InvalidArgument, scoring.DeadLetter},
	{scoring.Unimplemented, "Unimplemented", 501, codes.Unimplemented, scoring.DeadLetter},
	{scoring.TooLarge, "TooLarge", 413, codes.ResourceExhausted, scoring.DeadLetter},
	{scoring.Unauthenticated, "Unauthenticated", 401, codes.Unauthenticated, scoring.DeadLetter},
	{scoring.Denied, "Denied", 403, codes.PermissionDenied, scoring.DeadLetter},
	{scoring.NotFound, "NotFound", 404, codes.NotFound, scoring.DeadLetter},
	{scoring.Conflict, "Conflict", 409, codes.Aborted, scoring.DeadLetter},
	{scoring.Overloaded, "Overloaded", 429, codes.ResourceExhausted, scoring.Retry},
	{scoring.Expired, "Expired", 504, codes.DeadlineExceeded, scoring.DeadLetter},
	{scoring.Canceled, "Canceled", 499, codes.Canceled, scoring.Retry},
	{scoring.Unavailable, "Unavailable", 503, codes.Unavailable, scoring.Retry},
	{scoring.Internal, "Internal", 500, codes.Internal, scoring.Retry},
}

func TestErrorTable(t *testing.T) {
	t.Parallel()
	var got []line
	for _, c := range scoring.Codes() {
		got = append(got, line{c, c.String(), c.HTTPStatus(), codes.Code(c.GRPCCode()), c.EventOutcome()})
	}
	if !slices.Equal(got, lines) {
		t.Errorf("the error table changed:\ngot  %v\nwant %v\nIf that is meant, change this test, the README and the clients too.", got, lines)
	}
}

// TestEveryCodeHasARow reads the source, because a code that was added after the last one
// is in neither Codes nor the table, and falls back to Internal without a sound.
func TestEveryCodeHasARow(t *testing.T) {
	t.Parallel()
	defined := constants(t, "code.go", "Invalid")
	var listed []string
	for _, c := range scoring.Codes() {
		listed = append(listed, c.String())
	}
	if !slices.Equal(listed, defined) {
		t.Errorf("Codes() are not the constants of code.go: give each a row in the table, and let Codes() end with the last\ngot  %v\nwant %v", listed, defined)
	}
}

// constants lists the names in the const block that holds first.
func constants(t *testing.T, path, first string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, decl := range file.Decls {
		block, ok := decl.(*ast.GenDecl)
		if !ok || block.Tok != token.CONST {
			continue
		}
		var names []string
		for _, spec := range block.Specs {
			for _, name := range spec.(*ast.ValueSpec).Names {
				names = append(names, name.Name)
			}
		}
		if slices.Contains(names, first) {
			return names
		}
	}
	t.Fatalf("%s has no const block with %s", path, first)
	return nil
}

func TestCodeThatNobodyDefinedIsInternal(t *testing.T) {
	t.Parallel()
	for _, c := range []scoring.Code{0, scoring.Internal + 1, 255} {
		if c.String() != "Internal" || c.HTTPStatus() != 500 || c.GRPCCode() != uint32(codes.Internal) || c.EventOutcome() != scoring.Retry {
			t.Errorf("code %d: got %s %d %d %d, want Internal's row", c, c, c.HTTPStatus(), c.GRPCCode(), c.EventOutcome())
		}
	}
}

// TestReadme compares the error table in README.md with the one in the code.
func TestReadme(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	const mark = "<!-- error-table -->"
	parts := strings.Split(string(readme), mark)
	if len(parts) != 3 {
		t.Fatalf("README.md has %s %d times, want it before and after the table", mark, len(parts)-1)
	}
	if got, want := strings.TrimSpace(parts[1]), strings.TrimSpace(markdown()); got != want {
		t.Errorf("the error table in README.md is not the code's:\ngot\n%s\nwant\n%s", got, want)
	}
}

// markdown is the error table as it stands in README.md.
func markdown() string {
	var b strings.Builder
	b.WriteString("| code | HTTP | gRPC | event |\n|---|---|---|---|\n")
	for _, c := range scoring.Codes() {
		event := "dead letter"
		if c.EventOutcome() == scoring.Retry {
			event = "retry"
		}
		fmt.Fprintf(&b, "| %s | %d | %s | %s |\n", c, c.HTTPStatus(), codes.Code(c.GRPCCode()), event)
	}
	return b.String()
}
