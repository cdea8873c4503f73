package models_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/cli/models"
)

// TestUsage has command lines that cannot be meant: nobody is asked, and the exit code is 2.
func TestUsage(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.hook = func(_ http.ResponseWriter, r *http.Request) bool {
		t.Errorf("%s %s was asked", r.Method, r.URL.Path)
		return false
	}
	for _, test := range []struct{ args, text, usage string }{
		{"show", `something is missing after "onda models show"`, "onda models show NAME"},
		{"show a b", `unexpected "b"`, "onda models show NAME"},
		{"show ../etc", `model name "../etc": use letters, digits, '.', '_' and '-', a letter or digit first`, "onda models show NAME"},
		{"list --nope", "unknown flag: --nope", "onda models list"},
		{"list -o yaml", `--output "yaml": want table or json`, "onda models list"},
		{"list --timeout 0s", "--timeout 0s: want a time such as 10m", "onda models list"},
		{"list --server ftp://a", `server "ftp://a": want an address such as http://127.0.0.1:8080`, "onda models list"},
		{"list --actor a\x1bb", "actor \"a\ufffdb\": want at most 128 bytes of printable characters", "onda models list"},
		{"history faq --limit 0", "--limit 0: want 1 to 1000", "onda models history NAME"},
		{"label faq live", `a version or --remove is missing after label "live"`, "onda models label NAME LABEL VERSION | NAME LABEL --remove"},
		{"label faq live 0", `version "0": want a positive whole number`, "onda models label NAME LABEL VERSION | NAME LABEL --remove"},
		{"label faq live 2 --remove", "--remove takes no version: a label has only one", "onda models label NAME LABEL VERSION | NAME LABEL --remove"},
		{"label faq li/ve 2", `label "li/ve": use letters, digits, '.', '_' and '-', a letter or digit first`, "onda models label NAME LABEL VERSION | NAME LABEL --remove"},
		{"pin faq --accept all", `--accept "all": want one of signature, rolled-back, divergence, slower`, "onda models pin NAME [--off]"},
		{"pin faq --revision -1", `--revision -1: want one that "onda models show" has`, "onda models pin NAME [--off]"},
		{"traffic faq", "weights or --clear are missing: want such as 1=90 2=10", "onda models traffic NAME VERSION=WEIGHT... | NAME --clear"},
		{"traffic faq 1=90 2", `"2": want a version and its weight, such as 2=10`, "onda models traffic NAME VERSION=WEIGHT... | NAME --clear"},
		{"traffic faq 1=90 2=0", `"2=0": want a version and its weight, such as 2=10`, "onda models traffic NAME VERSION=WEIGHT... | NAME --clear"},
		{"traffic faq 1=90 1=10", "version 1 has two weights", "onda models traffic NAME VERSION=WEIGHT... | NAME --clear"},
		{"traffic faq 1=90 --sticky ip", `--sticky "ip": want key or caller`, "onda models traffic NAME VERSION=WEIGHT... | NAME --clear"},
		{"traffic faq 1=90 --clear", "--clear takes no weights and no --sticky", "onda models traffic NAME VERSION=WEIGHT... | NAME --clear"},
		{"shadow faq", "a version or --clear is missing", "onda models shadow NAME VERSION [--share 0.1] | NAME --clear"},
		{"shadow faq 2 --share 1.5", `--share "1.5": want the part of the requests to copy, above 0 and at most 1, such as 0.1 or 10%`, "onda models shadow NAME VERSION [--share 0.1] | NAME --clear"},
		{"shadow faq 2 --share NaN", `--share "NaN": want the part of the requests to copy, above 0 and at most 1, such as 0.1 or 10%`, "onda models shadow NAME VERSION [--share 0.1] | NAME --clear"},
		{"shadow faq 2 --share 110%", `--share "110%": want the part of the requests to copy, above 0 and at most 1, such as 0.1 or 10%`, "onda models shadow NAME VERSION [--share 0.1] | NAME --clear"},
		{"shadow faq --clear --share 0.2", "--clear takes no version and no --share", "onda models shadow NAME VERSION [--share 0.1] | NAME --clear"},
		{"rollout faq", "a version is missing; to follow the rollout that is running, add --watch", "onda models rollout NAME VERSION [--watch] | NAME --watch"},
		{"rollout faq --watch --min-samples 3", "a version is missing: without one, --watch follows the rollout that is running, whose rule stands", "onda models rollout NAME VERSION [--watch] | NAME --watch"},
		{"rollout faq 2 --steps 5,5", `--steps "5,5": want rising percentages, 1 to 100, such as 5,25,50`, "onda models rollout NAME VERSION [--watch] | NAME --watch"},
		{"rollout faq 2 --steps a", `--steps "a": want rising percentages, 1 to 100, such as 5,25,50`, "onda models rollout NAME VERSION [--watch] | NAME --watch"},
		{"rollout faq 2 --min-samples many", `--min-samples "many": want a whole number`, "onda models rollout NAME VERSION [--watch] | NAME --watch"},
		{"rollout faq 2 --step-time 30", `--step-time "30": want a time such as 30s`, "onda models rollout NAME VERSION [--watch] | NAME --watch"},
		{"rollout faq 2 --max-p99-ratio 0", "--max-p99-ratio 0: want more than 0; left out, the server chooses", "onda models rollout NAME VERSION [--watch] | NAME --watch"},
		{"rollout faq 2 --step-time 0s", "--step-time 0s: want more than 0; left out, the server chooses", "onda models rollout NAME VERSION [--watch] | NAME --watch"},
		{"rollout faq 2 --every 0s", "--every 0s: want a time such as 1s", "onda models rollout NAME VERSION [--watch] | NAME --watch"},
		{"register", "where are the files? want --from DIR or --location URL", "onda models register [NAME] --from DIR | NAME --location URL"},
		{"register --location azblob://a", "the name of the model is missing", "onda models register [NAME] --from DIR | NAME --location URL"},
		{"register faq --from a --location azblob://a", "--from and --location say two things: want one", "onda models register [NAME] --from DIR | NAME --location URL"},
		{"register faq --from a --version -2", "--version -2: want a positive whole number", "onda models register [NAME] --from DIR | NAME --location URL"},
		{"register faq --from a --metric accuracy=good", `--metric "accuracy=good": want a name and a number, such as accuracy=0.93`, "onda models register [NAME] --from DIR | NAME --location URL"},
		{"register faq --from a --tag team", `--tag "team": want a name and a text, such as team=search`, "onda models register [NAME] --from DIR | NAME --location URL"},
	} {
		t.Run(test.args, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := o.run(strings.Split(test.args, " ")...)
			name, _, _ := strings.Cut(test.args, " ")
			want := fmt.Sprintf("onda: %s\n\nUsage: %s\n\nSee \"onda models %s --help\".\n", test.text, test.usage, name)
			compare(t, code, stdout, stderr, 2, "", want)
		})
	}
}

// TestErrors has answers that say no, and what the user is told to do.
func TestErrors(t *testing.T) {
	t.Parallel()
	refuse := func(status int, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { answer(w, status, map[string]string{"error": text}) }
	}
	write := func(status int, content, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("content-type", content)
			w.WriteHeader(status)
			_, _ = w.Write([]byte(text))
		}
	}
	const stranger = "\nIs --server (or ONDA_SERVER) right? Through a sidecar it is such as http://127.0.0.1:3500/v1.0/invoke/onda/method.\n"
	for _, test := range []struct {
		name   string
		answer http.HandlerFunc
		args   string
		want   string
	}{
		{"not there", refuse(404, `model "faq" is not in the registry`), "show faq", "model \"faq\" is not in the registry\n\"onda models list\" shows what there is.\n"},
		{"no token", refuse(401, "the header authorization is missing or wrong"), "pin faq", "the token is missing or wrong\nShow the server's token: export ONDA_REGISTRY_TOKEN=..., or add --token.\n"},
		{"wrong token", refuse(401, "the header authorization is missing or wrong"), "pin faq --token x", "the token is missing or wrong\nIs the token that of this server? It comes from --token, or else from ONDA_REGISTRY_TOKEN.\n"},
		{
			"not allowed", refuse(403, "the registry cannot be changed yet: set ONDA_REGISTRY_TOKEN to a token"), "pin faq",
			"the registry cannot be changed yet: set ONDA_REGISTRY_TOKEN to a token\nThat is set where Onda runs; the token is then shown from here: export ONDA_REGISTRY_TOKEN=..., or add --token.\n",
		},
		{
			"location not allowed", refuse(403, "location s3://b/m: no place is allowed: the operator of the server names the folders in ONDA_ARTIFACT_SOURCES"), "register faq --location s3://b/m",
			"location s3://b/m: no place is allowed: the operator of the server names the folders in ONDA_ARTIFACT_SOURCES\nThat is set where Onda runs, such as ONDA_ARTIFACT_SOURCES=azblob://models,/srv/models; or upload the files from here with --from DIR.\n",
		},
		{"denied by a storage", refuse(403, "s3://b/m: the storage denies it to the server"), "register faq --location s3://b/m", "s3://b/m: the storage denies it to the server\n"},
		{"location not there", refuse(404, "s3://b/m: not found"), "register faq --location s3://b/m", "s3://b/m: not found\n"},
		{
			"number of model.yaml", refuse(400, "model.yaml says faq@3: want the folder's own name and version"), "register faq --location s3://b/m",
			"model.yaml says faq@3: want the folder's own name and version\nA version is registered under the name and number that its model.yaml says: add --version 3, or set version: there.\n",
		},
		{"path for programs", refuse(404, `model "faq" is not in the registry: GET /registry/v1/models lists what is`), "show faq", "model \"faq\" is not in the registry\n\"onda models list\" shows what there is.\n"},
		{"path of versions", refuse(404, `model "faq" has no version 7: GET /registry/v1/models/faq lists its versions`), "show faq", "model \"faq\" has no version 7: \"onda models show faq\" lists its versions\n"},
		{"files missing", refuse(400, "not in the artifact store: model.onnx (ab): PUT each to /registry/v1/blobs/SHA256 first"), "list", "not in the artifact store: model.onnx (ab): register it again with --from, which sends them\n"},
		{
			"header with a revision", refuse(409, `version 1 answers; if that one is to be rolled back too, send the header if-match with the revision "9"`), "pin faq",
			"version 1 answers; if that one is to be rolled back too, add --revision 9\n",
		},
		{"header", refuse(400, `header if-match is "x": want the revision that the change was decided on, such as "12"`), "list", "--revision is \"x\": want the revision that the change was decided on, such as \"12\"\n"},
		{
			"sidecar itself", write(404, "application/json", `{"errorCode": "ERR_DIRECT_INVOKE", "message": "failed getting app id either from the URL path or the header dapr-app-id"}`), "list",
			"what answers at URL is a Dapr sidecar, and not Onda behind it\nAsk Onda through it: --server URL/v1.0/invoke/onda/method\n",
		},
		{"conflict", refuse(409, "version 2 is named by the label live: move that first"), "retire faq 2", "version 2 is named by the label live: move that first\n"},
		{"failure", refuse(500, "internal error"), "list", "internal error\n"},
		{"sidecar", write(500, "application/json", `{"errorCode": "ERR_DIRECT_INVOKE", "message": "failed to invoke, id: onda"}`), "list", "the sidecar at URL: ERR_DIRECT_INVOKE: failed to invoke, id: onda\n"},
		{"page", write(404, "text/html", "<h1>404</h1>"), "list", "what answers at URL is not Onda: status 404 Not Found" + stranger},
		{"success that is none", write(200, "text/html", "<h1>Welcome</h1>"), "list", "what answers at URL is not Onda: it sent status 200 OK and no JSON that fits" + stranger},
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://login.example", http.StatusFound)
		}, "list", "what answers at URL is not Onda: status 302 Found, redirects to https://login.example" + stranger},
		{"progress that is none", write(200, "application/x-ndjson", "hello\n"), "list", "what answers at URL is not Onda: it sent a line of progress that is no JSON" + stranger},
		{"streamed failure", write(200, "application/x-ndjson", `{"progress": {"stage": "load"}}`+"\n"+`{"error": "version 2 cannot be loaded: the file is damaged", "status": 400}`+"\n"), "list", "version 2 cannot be loaded: the file is damaged\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(test.answer)
			defer s.Close()
			code, stdout, stderr := run(models.Defaults{Server: s.URL}, append([]string{"models"}, strings.Fields(test.args)...)...)
			compare(t, code, stdout, stderr, 1, "", "onda: "+strings.ReplaceAll(test.want, "URL", s.URL))
		})
	}
}

// TestLostAnswers has changes that were sent, and whose answer did not come: nobody knows
// whether they were made.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	const may = "The change may have been made, or still go on at the server: see \"onda models history faq-matching\" before you try again.\n"
	for _, test := range []struct {
		name   string
		args   []string
		answer http.HandlerFunc
		want   string
	}{
		{"closed", nil, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "onda: the connection to URL broke: it was closed before there was a whole answer\n" + may},
		{"cut off", nil, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("content-type", "application/x-ndjson")
			_, _ = w.Write([]byte(`{"progress": {"stage": "load", "done": 0, "total": 0}}` + "\n"))
		}, "the server loads the version and tries it\nonda: the connection to URL broke: it was closed before there was a whole answer\n" + may},
		{"too late", []string{"--timeout", "250ms"}, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "onda: no answer from URL within 250ms\n" + may + "Wait longer with --timeout.\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			o := newOnda(t)
			o.faq(2)
			o.with(func() {
				o.hook = func(w http.ResponseWriter, r *http.Request) bool {
					if r.Method == http.MethodPut {
						_, _ = http.MaxBytesReader(w, r.Body, 1<<20).Read(make([]byte, 1<<10)) // so that the server sees who leaves
						test.answer(w, r)
					}
					return r.Method == http.MethodPut
				}
			})
			o.want(append([]string{"label", "faq-matching", "live", "2"}, test.args...), 1, "", test.want)
		})
	}
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	for _, args := range []string{"list", "label faq live 2", "rollback faq"} {
		code, stdout, stderr := run(models.Defaults{Server: address}, append([]string{"models"}, strings.Fields(args)...)...)
		compare(t, code, stdout, stderr, 1, "", "onda: no Onda answers at http://"+address+": connection refused\nIs it running? Say where with --server URL, or export ONDA_SERVER=URL.\n")
	}
}

// TestWrongProtocol asks over TLS where there is none, and where nobody vouches for it.
func TestWrongProtocol(t *testing.T) {
	t.Parallel()
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	plain, secure := httptest.NewServer(handler), httptest.NewUnstartedServer(handler)
	defer plain.Close()
	secure.Config.ErrorLog = quiet()
	secure.StartTLS()
	defer secure.Close()
	for server, want := range map[string]string{
		strings.Replace(plain.URL, "http://", "https://", 1): "server gave HTTP response to HTTPS client",
		secure.URL: "certificate signed by unknown authority",
	} {
		start := time.Now()
		code, _, stderr := run(models.Defaults{Server: server}, "models", "list")
		if code != 1 || !strings.Contains(stderr, "onda: no Onda answers at "+server) || !strings.Contains(stderr, want) || !strings.Contains(stderr, "--server") {
			t.Errorf("got %d and\n%s\nwant 1 and %q", code, stderr, want)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("it took %s", took)
		}
	}
}
