package chart_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// TestTheEdgeWithARealSidecar runs daprd with the edge's Configuration and components: who has no good token is refused, who
// has one reaches the app, and nothing but invocation is offered.
func TestTheEdgeWithARealSidecar(t *testing.T) {
	t.Parallel()
	server := newIssuer(t)
	app := "onda-chart-" + strconv.Itoa(ondatest.FreePort(t))
	ondatest.StartSidecar(t, ondatest.SidecarOptions{AppID: app, AppPort: server.port(t)})
	url := startEdge(t, server.URL, app)
	invoke := "/v1.0/invoke/" + app + "/method/v1/models/faq:predict"
	// Names are found by multicast, which can miss an app that has only just started.
	for tries := 0; tries < 40 && get(t, url+invoke, server.token(t, "api://onda", time.Hour)) != http.StatusOK; tries++ {
		time.Sleep(250 * time.Millisecond)
	}
	for _, test := range []struct {
		name, token, path string
		status            int
	}{
		{"no token", "", invoke, http.StatusUnauthorized},
		{"not a token", "x.y.z", invoke, http.StatusUnauthorized},
		{"for somebody else", server.token(t, "other", time.Hour), invoke, http.StatusUnauthorized},
		{"expired", server.token(t, "api://onda", -time.Hour), invoke, http.StatusUnauthorized},
		{"good", server.token(t, "api://onda", time.Hour), invoke, http.StatusOK},
		{"metadata", server.token(t, "api://onda", time.Hour), "/v1.0/metadata", http.StatusNotFound},
		{"secrets", server.token(t, "api://onda", time.Hour), "/v1.0/secrets/kubernetes/x", http.StatusNotFound},
		{"state", server.token(t, "api://onda", time.Hour), "/v1.0/state/a/b", http.StatusNotFound},
	} {
		if got := get(t, url+test.path, test.token); got != test.status {
			t.Errorf("%s: %d, want %d", test.name, got, test.status)
		}
	}
}

// startEdge starts a sidecar as the chart sets up that of the edge, and gives its address.
func startEdge(t *testing.T, issuer, app string) string {
	t.Helper()
	edge := app + "-edge"
	all := render(t, fmt.Sprintf("{dapr: {appId: %s}, ingress: {edge: {appId: %s}}}", app, edge), profile(t, "ingress-gateway")...)
	folder := t.TempDir()
	for _, o := range append(all.find("Component"), all.one(t, "Resiliency", "onda-edge"), all.one(t, "Configuration", "onda-edge")) {
		for _, setting := range o.list("spec", "metadata") {
			// The schema wants https, which an issuer on loopback has not.
			if at(setting, "name") == "issuer" {
				asMap(setting)["value"] = issuer
			}
		}
		text, err := yaml.Marshal(map[string]any(o))
		if err != nil {
			t.Fatal(err)
		}
		name := map[bool]string{true: "config", false: "resources"}[o.kind() == "Configuration"]
		if err := os.MkdirAll(filepath.Join(folder, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name, o.kind()+".yaml"), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program, err := ondatest.Fetched("ONDA_TEST_DAPRD", "dapr", "*", ".dapr", "bin", "daprd")
	if err != nil {
		t.Fatalf("%v: run deploy/local/setup.sh test", err)
	}
	port := func() string { return strconv.Itoa(ondatest.FreePort(t)) }
	door := port()
	sidecar := ondatest.Start(t, "sidecar of the edge", folder, nil, program, "--app-id", edge, "--mode", "standalone",
		"--config", filepath.Join(folder, "config", "Configuration.yaml"), "--resources-path", filepath.Join(folder, "resources"),
		"--dapr-http-port", door, "--dapr-grpc-port", port(), "--dapr-internal-grpc-port", port(), "--dapr-public-port", port(),
		"--metrics-port", port(), "--dapr-listen-addresses", "127.0.0.1", "--dapr-internal-grpc-listen-address", "127.0.0.1",
		"--metrics-listen-address", "127.0.0.1", "--dapr-public-listen-address", "127.0.0.1")
	url := "http://127.0.0.1:" + door
	sidecar.Wait(t, "the edge asks for a token", func() error {
		return ondatest.Answers(url+"/v1.0/invoke/"+app+"/method/v1/models", http.StatusUnauthorized)
	})
	return url
}

func get(t *testing.T, url, token string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

// issuer is an OpenID provider, and the app that is called as well.
type issuer struct {
	*httptest.Server

	key *rsa.PrivateKey
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	mux, i := http.NewServeMux(), &issuer{key: key}
	answer := func(path string, body func() any) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(body()) })
	}
	answer("/.well-known/openid-configuration", func() any { return map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/keys"} })
	answer("/keys", func() any {
		return map[string]any{"keys": []any{map[string]string{
			"kty": "RSA", "kid": "1", "use": "sig", "alg": "RS256", "n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": "AQAB",
		}}}
	})
	answer("/", func() any { return "an answer" })
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) port(t *testing.T) int {
	t.Helper()
	port, err := strconv.Atoi(i.URL[len("http://127.0.0.1:"):])
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// token is a JWT for audience that expires in a while.
func (i *issuer) token(t *testing.T, audience string, expires time.Duration) string {
	t.Helper()
	part := func(value any) string {
		text, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	text := part(map[string]string{"alg": "RS256", "typ": "JWT", "kid": "1"}) + "." + part(map[string]any{
		"iss": i.URL, "aud": audience, "sub": "somebody", "iat": time.Now().Add(-2 * time.Hour).Unix(), "exp": time.Now().Add(expires).Unix(),
	})
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, i.key, crypto.SHA256, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}
