package blobs_test

import (
	"context"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/artifact/blobs"
	"github.com/onda-serving/onda/app/artifact/blobs/blobstest"
	"github.com/onda-serving/onda/app/scoring"
)

// openError opens a source that need not be there.
func openError(t *testing.T, url string, allow ...string) (blobs.Source, error) {
	t.Helper()
	return blobs.Open(t.Context(), url, allow)
}

func TestAzureSource(t *testing.T) {
	t.Parallel()
	azurite := blobstest.Shared(t)
	azurite.Container(t, "sources")
	// A store writes the files here; as a source, its folders are like any others.
	data := random(5, 1<<20)
	sum := put(t, openStore(t, azurite.URL("sources/faq/3")), data)

	// The location leaves out how the account is reached: that is the operator's business.
	s := open(t, "azblob://sources/faq/3/sha256", azurite.URL("sources/faq"))
	name := sum[:2] + "/" + sum
	got, err := s.List(t.Context())
	if want := map[string]int64{name: 1 << 20}; err != nil || !maps.Equal(got, want) {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	wantFile(t, s, name, 0, data)
	wantFile(t, s, name, 1<<19, data[1<<19:])

	_, err = readAll(t, s, "model.onnx", 0)
	refused(t, err, scoring.NotFound, "azblob://sources/faq/3/sha256: file model.onnx: not found")
	_, err = readAll(t, s, name, 2<<20)
	refused(t, err, scoring.Invalid, "the file is shorter than was expected")
	_, err = open(t, azurite.URL("sources/none"), azurite.URL("sources")).List(t.Context())
	refused(t, err, scoring.NotFound, "azblob://sources/none: there are no files")

	none := open(t, "azblob://nowhere", azurite.URL("nowhere"))
	_, err = readAll(t, none, "model.onnx", 0)
	refused(t, err, scoring.NotFound, "there is no such container or bucket")
	_, err = none.List(t.Context())
	refused(t, err, scoring.NotFound, "there is no such container or bucket")
	_, _, err = openStore(t, azurite.URL("nowhere")).Has(t.Context(), sumOf(nil))
	refused(t, err, scoring.NotFound, "artifact store", "there is no such container or bucket")
}

// A server that is not there, or does not answer, gives an error that asks for another try,
// within the time given.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	blobstest.Shared(t) // for its key
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, address := range map[string]string{"closed": closed, "silent": silent.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			s := open(t, "azblob://models/faq", blobstest.URL(address, "models"))
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			began := time.Now()
			_, err := s.Open(ctx, "model.onnx", 0)
			refused(t, err, scoring.Unavailable, "azblob://models/faq: file model.onnx: the storage")
			_, err = s.List(ctx)
			refused(t, err, scoring.Unavailable, "azblob://models/faq: the storage")
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

// The environment is the process's, so this test does not run beside others.
func TestSharedAccessSignature(t *testing.T) {
	t.Setenv("AZURE_STORAGE_KEY", "")
	t.Setenv("AZURE_STORAGE_ACCOUNT", "")
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", "")
	_, err := openError(t, "azblob://models", "azblob://models")
	refused(t, err, scoring.Unavailable, "the storage account is missing: set AZURE_STORAGE_ACCOUNT, or add ?storage_account=NAME")

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	t.Setenv("AZURE_STORAGE_ACCOUNT", "account")
	t.Setenv("AZURE_STORAGE_SAS_TOKEN", "sv=2026&sig=secret")
	_, err = openError(t, "azblob://models", "azblob://models?domain=attacker.example")
	refused(t, err, scoring.Unavailable, "the URL must have no parameters")

	t.Setenv("AZURE_STORAGE_DOMAIN", listener.Addr().String())
	t.Setenv("AZURE_STORAGE_PROTOCOL", "http")
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err = open(t, "azblob://models", "azblob://models").Open(ctx, "model.onnx", 0)
	refused(t, err, scoring.Unavailable)
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("got %q, want no signature in it", err)
	}
}

func TestAzureDenies(t *testing.T) {
	azurite := blobstest.Shared(t)
	azurite.Container(t, "private")
	t.Setenv("AZURE_STORAGE_KEY", "AAAA")
	s := open(t, "azblob://private", azurite.URL("private"))
	_, err := readAll(t, s, "model.onnx", 0)
	refused(t, err, scoring.Denied, "azblob://private: file model.onnx: the storage denies it to the server")
}
