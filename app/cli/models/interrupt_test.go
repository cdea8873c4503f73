package models_test

import (
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
)

// interrupt sends what Ctrl-C sends, and waits until the client has left.
func interrupt(t *testing.T, r *http.Request) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		t.Error(err)
	}
	<-r.Context().Done()
}

// TestInterrupt ends commands in the middle. Signals are the whole process's: neither the
// test nor its parts are parallel.
func TestInterrupt(t *testing.T) {
	const mayGoOn = "onda: interrupted: the change may have been made, or still go on at the server: see \"onda models history faq-matching\" before you try again\n"
	for _, test := range []struct {
		name string
		args string
		// at is the request that does not come back.
		at   string
		want string
	}{
		{"look", "list", "GET /registry/v1/models", "onda: interrupted\n"},
		{"look before a change", "label faq-matching live 2", "GET /registry/v1/models/faq-matching", "onda: interrupted: nothing was changed\n"},
		{"change", "label faq-matching live 2", "PUT /registry/v1/models/faq-matching/labels/live", mayGoOn},
		{"urgent change", "rollback faq-matching", "GET /registry/v1/models/faq-matching", "onda: interrupted: nothing was changed\n"},
		{
			"watch", "rollout faq-matching 2 --watch --every 5ms", "GET /registry/v1/models/faq-matching/evidence",
			"onda: interrupted: the rollout goes on at the server; follow it with \"onda models rollout faq-matching --watch\", end it with \"onda models rollback faq-matching\"\n",
		},
		{"upload", "register faq-matching --from DIR", "PUT /registry/v1/blobs/" + sum([]byte("the model")), "reading 1 file, 9 B\nsending 1 of 1 file, 9 B\nonda: interrupted: no version was registered; files that were sent are kept, and not sent again\n"},
		{"registration", "register faq-matching --from DIR", "POST /registry/v1/models/faq-matching/versions", "reading 1 file, 9 B\nsending 1 of 1 file, 9 B\n" + mayGoOn},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := newOnda(t)
			o.faq(2)
			o.with(func() {
				o.hook = func(w http.ResponseWriter, r *http.Request) bool {
					if r.Method+" "+r.URL.Path != test.at {
						return false
					}
					_, _ = http.MaxBytesReader(w, r.Body, 1<<20).Read(make([]byte, 1<<10)) // so that the server sees who leaves
					interrupt(t, r)
					return true
				}
			})
			args := strings.Fields(strings.ReplaceAll(test.args, "DIR", folder(t, map[string]string{"model.onnx": "the model"})))
			code, stdout, stderr := o.run(args...)
			if strings.Contains(test.args, "--watch") {
				stdout = "" // it tells of the change
			}
			compare(t, code, stdout, stderr, 130, "", test.want)
		})
	}
}
