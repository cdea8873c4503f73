package models_test

import (
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/onda-serving/onda/app/cli/models"
)

func TestCompletion(t *testing.T) {
	t.Parallel()
	o := newOnda(t)
	o.faq(3)
	o.does("label", "faq-matching", "stable", "1")
	o.does("promote", "faq-matching", "2")
	o.does("rollback", "faq-matching")
	o.does("retire", "faq-matching", "3")
	o.does("register", "image-classification", "--location", "azblob://models/image/1")
	const (
		names    = "faq-matching\tlive 1, label stable 1, version 2 rolled back, version 3 retired\nimage-classification\tnot managed\n:4\n"
		versions = "3\tretired, registered 2 h ago\n2\trolled back, registered 2 h ago\n1\tlive, stable, registered 2 h ago\n:4\n"
		none     = ":4\n"
	)
	for args, want := range map[string]string{
		"show ":                             names,
		"show image":                        "image-classification\tnot managed\n:4\n",
		"show faq-matching ":                none,
		"history ":                          names,
		"register im":                       "image-classification\tnot managed\n:4\n",
		"label faq-matching ":               "canary\tnew\nlive\tversion 1\nstable\tversion 1\n:4\n",
		"label faq-matching live ":          versions,
		"label faq-matching live 2 ":        none,
		"label nobody ":                     none,
		"promote faq-matching ":             versions,
		"retire faq-matching ":              versions,
		"rollout faq-matching ":             versions,
		"shadow faq-matching ":              versions,
		"traffic ":                          names,
		"traffic faq-matching ":             "3=\tretired, registered 2 h ago\n2=\trolled back, registered 2 h ago\n1=\tlive, stable, registered 2 h ago\n:6\n",
		"traffic faq-matching 2=10 ":        "3=\tretired, registered 2 h ago\n1=\tlive, stable, registered 2 h ago\n:6\n",
		"rollback faq":                      "faq-matching\tlive 1, label stable 1, version 2 rolled back, version 3 retired\n:4\n",
		"pin x":                             none,
		"pin faq-matching --accept s":       "signature\nslower\n:4\n",
		"list -o ":                          "table\tfor people\njson\twhat the server answered\n:4\n",
		"traffic faq-matching --sticky c":   "caller\tthe key, or the caller's app id\n:4\n",
		"rollout faq-matching --steps ":     none,
		"register faq-matching --from ":     ":16\n",
		"register faq-matching --metric ":   none,
		"list --server ":                    none,
		"rollout faq-matching 2 --compare ": none,
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			code, stdout, _ := complete(o.URL, args)
			if code != 0 || stdout != want {
				t.Errorf("got %d and\n%s\nwant 0 and\n%s", code, stdout, want)
			}
		})
	}
}

// complete asks for what can follow the arguments, as the scripts of shells do.
func complete(server, args string) (code int, stdout, stderr string) {
	return run(models.Defaults{Server: server}, append([]string{"__complete", "models"}, strings.Split(args, " ")...)...)
}

// TestCompletionIsSilent has servers that do not help: nobody who types wants to read that, or
// to wait.
func TestCompletionIsSilent(t *testing.T) {
	t.Parallel()
	slow, failing := newOnda(t), newOnda(t)
	slow.hook = func(_ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true }
	failing.hook = func(w http.ResponseWriter, _ *http.Request) bool {
		answer(w, 503, map[string]string{"error": "draining"})
		return true
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	for name, server := range map[string]string{"slow": slow.URL, "failing": failing.URL, "away": "http://" + l.Addr().String(), "none": "ftp://x"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			code, stdout, stderr := complete(server, "show ")
			if code != 0 || stdout != ":4\n" || stderr != "Completion ended with directive: ShellCompDirectiveNoFileComp\n" {
				t.Errorf("got %d, %q, %q, want nothing but the directive", code, stdout, stderr)
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("it took %s, want about a second at most", took)
			}
		})
	}
}
