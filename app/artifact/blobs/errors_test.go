package blobs

import (
	"errors"
	"net"
	"net/url"
	"os"
	"testing"

	"github.com/onda-serving/onda/app/scoring"
)

// What the libraries say can hold a signature, and is not for callers.
func TestExplainHidesSignatures(t *testing.T) {
	t.Parallel()
	cause := &url.Error{Op: "Get", URL: "https://a.blob.core.windows.net/c/f?sv=2026&sig=secret", Err: errors.New("connection refused")}
	err := explain(t.Context(), cause, "model.onnx", "azblob://c")
	want := `Unavailable: azblob://c: file model.onnx: the storage cannot be reached, or gave no usable answer; the server's log has the details: ` +
		`Get "https://a.blob.core.windows.net/c/f?...": connection refused`
	if err.Error() != want {
		t.Errorf("got %s\nwant %s", err, want)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause cannot be found")
	}
}

// gocloud takes a name that cannot be resolved for a file that is not there.
func TestExplainNameResolution(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want scoring.Code
	}{
		{errors.Join(os.ErrNotExist, &net.DNSError{Err: "no such host", IsNotFound: true}), scoring.Unavailable},
		{os.ErrNotExist, scoring.NotFound},
		{os.ErrPermission, scoring.Denied},
	} {
		if got := scoring.CodeOf(explain(t.Context(), tt.err, "f", "s")); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.err, got, tt.want)
		}
	}
}
