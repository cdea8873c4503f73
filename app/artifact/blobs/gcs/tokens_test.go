package gcs

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/onda-serving/onda/app/artifact/blobs/gcs/gcstest"
)

const secret = "ya29.secret"

// issuer gives tokens, as the servers do that a file of credentials names.
func issuer(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return s.URL
}

func give(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600,"issued_token_type":"urn:ietf:params:oauth:token-type:access_token"}`, secret)
}

// credentials writes a file and makes it the default.
func credentials(t *testing.T, content map[string]any) {
	t.Helper()
	text, err := json.Marshal(content)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "credentials.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
}

// serviceAccount is the key of one.
func serviceAccount(t *testing.T, tokenURL string) map[string]any {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"type": "service_account", "client_email": "onda@project.iam.gserviceaccount.com", "token_uri": tokenURL,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	}
}

// known gives a client with the default credentials, for a server that wants the token.
func known(t *testing.T) (*gcstest.Server, *Client) {
	t.Helper()
	s := serve(t)
	s.Token = secret
	s.Put("models", "model", []byte("abc"))
	c, err := New(t.Context(), Config{Bucket: "models"})
	if err != nil {
		t.Fatal(err)
	}
	c.base, c.first = "http://"+s.Host(), time.Microsecond
	t.Cleanup(func() { c.Close() })
	return s, c
}

// The environment says where the credentials are, so these do not run beside others.
func TestServiceAccount(t *testing.T) {
	var asked atomic.Int64
	credentials(t, serviceAccount(t, issuer(t, func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1); r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
			t.Errorf("got the grant %q", r.FormValue("grant_type"))
		}
		give(w, r)
	})))
	s, c := known(t)
	data, _, err := read(t, c, "model", 0)
	if err != nil || string(data) != "abc" {
		t.Errorf("got %q, %v", data, err)
	}
	if err := c.Write(t.Context(), "other", bytes.NewReader(data)); err != nil {
		t.Error(err)
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("asked for %d tokens, want 1", n)
	}
	s.Token = "another"
	_, err = c.Size(t.Context(), "model")
	refused(t, err, http.StatusUnauthorized, "Invalid Credentials")
}

func TestFederatedIdentity(t *testing.T) {
	subject := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(subject, []byte("the token of the cluster"), 0o600); err != nil {
		t.Fatal(err)
	}
	credentials(t, map[string]any{
		"type": "external_account", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
		"subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "credential_source": map[string]any{"file": subject},
		"token_url": issuer(t, func(w http.ResponseWriter, r *http.Request) {
			if got := r.FormValue("subject_token"); got != "the token of the cluster" {
				t.Errorf("got the token %q", got)
			}
			give(w, r)
		}),
	})
	_, c := known(t)
	if size, err := c.Size(t.Context(), "model"); size != 3 || err != nil {
		t.Errorf("got %d, %v", size, err)
	}
}

// Where no file is named the machine is asked: this is what workload identity in GKE is.
func TestMetadataServer(t *testing.T) {
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	t.Setenv("HOME", t.TempDir())
	var denied atomic.Bool
	t.Setenv("GCE_METADATA_HOST", strings.TrimPrefix(issuer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Metadata-Flavor") != "Google" {
			t.Error("asked without the header that the server wants")
		}
		w.Header().Set("Metadata-Flavor", "Google")
		switch r.URL.Path {
		case "/computeMetadata/v1/project/project-id":
			fmt.Fprint(w, "project")
		case "/computeMetadata/v1/instance/service-accounts/default/token":
			if denied.Load() {
				http.Error(w, "IAM returned 403 Forbidden", http.StatusForbidden)
				return
			}
			give(w, r)
		default:
			http.NotFound(w, r)
		}
	}), "http://"))
	_, c := known(t)
	if size, err := c.Size(t.Context(), "model"); size != 3 || err != nil {
		t.Errorf("got %d, %v", size, err)
	}
	denied.Store(true)
	_, c = known(t)
	_, err := c.Size(t.Context(), "model")
	refused(t, err, http.StatusUnauthorized, "no token for the credentials: IAM returned 403 Forbidden")
}

func TestNoCredentials(t *testing.T) {
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", filepath.Join(t.TempDir(), "none.json"))
	if _, err := New(t.Context(), Config{Bucket: "models"}); err == nil {
		t.Error("no error")
	}
	for _, config := range []Config{{Bucket: "models", Anonymous: true}, {Bucket: "models", Emulator: "127.0.0.1:1"}} {
		c, err := New(t.Context(), config)
		if err != nil || c.tokens != nil {
			t.Errorf("%+v: got %v, %v; want a client without tokens", config, c, err)
		}
	}
	credentials(t, serviceAccount(t, "http://127.0.0.1:1"))
	s := serve(t)
	s.Put("models", "model", []byte("abc"))
	if size, err := connect(t, s, "models").Size(t.Context(), "model"); size != 3 || err != nil {
		t.Errorf("an emulator: got %d, %v", size, err)
	}
	if _, err := New(t.Context(), Config{Bucket: "models", Emulator: "ftp://x"}); err == nil {
		t.Error("no error for an emulator that cannot be")
	}
}

// What refuses to give a token says why, and nothing of what it was shown.
func TestTokenRefused(t *testing.T) {
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		status int // 0: of the connection
		want   string
		asked  int64
	}{
		{"no such account", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":"invalid_grant","error_description":"account not found","assertion":%q}`, secret)
		}, http.StatusUnauthorized, "no token for the credentials: invalid_grant account not found", 1},
		{"not there", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, secret)
		}, http.StatusUnauthorized, "no token for the credentials", 1},
		{"no right to become the account", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"error":{"code":403,"message":"Permission denied","details":[%q]}}`, secret)
		}, http.StatusUnauthorized, "no token for the credentials: Permission denied", 1},
		{"busy", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, secret)
		}, http.StatusServiceUnavailable, "Google answered 503", tries},
		{"breaks", hangUp, 0, "no token for the credentials: ", tries},
		{"no token", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"access_token":7,"id_token":%q}`, secret)
		}, 0, "no token for the credentials: ", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked atomic.Int64
			credentials(t, serviceAccount(t, issuer(t, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				tt.answer(w, r)
			})))
			_, c := known(t)
			_, _, err := read(t, c, "model", 0)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "http://") {
				t.Errorf("got %v, want %q, and neither token nor URL", err, tt.want)
			}
			if answer, ok := errors.AsType[*Error](err); ok != (tt.status != 0) || ok && answer.Status != tt.status {
				t.Errorf("got %v, want the status %d", err, tt.status)
			}
			if n := asked.Load(); n != tt.asked {
				t.Errorf("asked %d times, want %d", n, tt.asked)
			}
		})
	}
}

// slow is a source that gives its token when it is told to.
type slow chan *oauth2.Token

func (s slow) Token() (*oauth2.Token, error) { return <-s, nil }

// A server of tokens that does not answer does not hold up a caller whose time is up.
func TestTokenInTime(t *testing.T) {
	t.Parallel()
	source := make(slow)
	s := serve(t)
	c := connect(t, s, "models")
	c.tokens = &tokens{source: source}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Size(ctx, "model"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	source <- &oauth2.Token{AccessToken: secret}
}

// What goes elsewhere does not take the token along.
func TestNoTokenElsewhere(t *testing.T) {
	credentials(t, serviceAccount(t, issuer(t, give)))
	var reached atomic.Bool
	elsewhere := issuer(t, func(http.ResponseWriter, *http.Request) { reached.Store(true) })
	s, c := known(t)
	s.Intercept = func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		_, _ = io.Copy(io.Discard, r.Body)
		http.Redirect(w, r, elsewhere, http.StatusTemporaryRedirect)
	}
	_, err := c.Size(t.Context(), "model")
	refused(t, err, http.StatusTemporaryRedirect, "")
	if reached.Load() {
		t.Error("the redirect was followed")
	}
}
