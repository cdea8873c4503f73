package chaos

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/onda-serving/onda/tests/internal/ondatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestComponents gives Onda all that users run with, and the run's own app a broker alone, with
// shorter times for both.
func TestComponents(t *testing.T) {
	t.Parallel()
	backend := ondatest.RedisAt("127.0.0.1:1").With(map[string]string{"processingTimeout": "4s", "redeliverInterval": "1000"})
	onda, own := t.TempDir(), t.TempDir()
	if err := writeComponents(onda, "app", backend, "bulkSubscribe", "bulkSubscribed"); err != nil {
		t.Fatal(err)
	}
	if err := writeComponents(t.TempDir(), "app", backend, "no such text", ""); err == nil {
		t.Error("a text that is not there was replaced")
	}
	if err := writeOwnComponents(own, "other", backend); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		folder      string
		there, gone []string
	}{
		{onda, []string{"value: 127.0.0.1:1\n", "value: 4s\n", `value: "1000"` + "\n", "topic: scoring.deadletter\n", "    - app\n", "name: statestore\n", "bulkSubscribed:\n"}, []string{"localhost", "- onda\n"}},
		{own, []string{"value: 127.0.0.1:1\n", "value: 4s\n", "    - other\n"}, []string{"localhost", "- onda\n", "topic: scoring.deadletter", "type: state.redis"}},
	} {
		got := text(t, tt.folder)
		for _, line := range tt.there {
			if !strings.Contains(got, line) {
				t.Errorf("there is no line %q in\n%s", line, got)
			}
		}
		for _, line := range tt.gone {
			if strings.Contains(got, line) {
				t.Errorf("there is %q in\n%s", line, got)
			}
		}
	}
}

// text is all that a folder's files have in them.
func text(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("got %q, %v, want files", files, err)
	}
	var all strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}

// TestBrokers knows each by its name, and no other.
func TestBrokers(t *testing.T) {
	t.Parallel()
	if _, err := newServer("none", t.TempDir()); err == nil || !strings.Contains(err.Error(), `no broker "none": want redis, kafka or rabbitmq`) {
		t.Errorf("got %v", err)
	}
	s, err := newServer(RabbitMQ, t.TempDir())
	if err != nil {
		ondatest.Missing(t, err.Error())
	}
	broker, beside := s.programs(t.TempDir())
	if broker.name != RabbitMQ || len(beside) != 1 || beside[0].name != "epmd" || len(broker.env) == 0 {
		t.Errorf("the broker is %s with %d settings, beside %d programs", broker.name, len(broker.env), len(beside))
	}
}
