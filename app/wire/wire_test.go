package wire_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

var update = flag.Bool("update", false, "write the golden files anew")

var limits = wire.Limits{MaxInstances: 4}

// refused checks code and public text of err.
func refused(t *testing.T, err error, code scoring.Code, want string) {
	t.Helper()
	var got *scoring.Error
	if !errors.As(err, &got) {
		t.Fatalf("got error %v, want %s: %s", err, code, want)
	}
	if got.Code != code || got.Message != want {
		t.Errorf("got  %s: %s\nwant %s: %s", got.Code, got.Message, code, want)
	}
}

// golden compares got with a file of testdata.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, bytes.TrimRight(want, "\n")) {
		t.Errorf("%s:\ngot  %s\nwant %s", path, got, want)
	}
}

func text(s string) scoring.Instance {
	return scoring.Instance{Kind: scoring.Text, Data: []byte(s)}
}

func binary(s string) scoring.Instance {
	return scoring.Instance{Kind: scoring.Binary, Data: []byte(s)}
}

// same compares instances by kind and content.
func same(t *testing.T, got, want []scoring.Instance) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d instances, want %d", len(got), len(want))
	}
	for i := range got {
		if got[i].Kind != want[i].Kind || !bytes.Equal(got[i].Data, want[i].Data) {
			t.Errorf("instances[%d]: got %s %q, want %s %q", i, got[i].Kind, got[i].Data, want[i].Kind, want[i].Data)
		}
	}
}
