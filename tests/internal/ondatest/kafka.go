package ondatest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// KafkaPartitions is how many partitions each topic of a test's Kafka has.
const KafkaPartitions = 4

// KafkaServer is a Kafka of a test: one process that is broker and controller.
type KafkaServer struct {
	*Process

	// Addr is its host and port.
	Addr string

	t          *testing.T
	jars, java string
	file       string
	dir        string
}

// Kafka starts a Kafka for the time of a test, with Onda's topics. Further settings come as
// lines of server.properties, such as "message.max.bytes=100000".
func Kafka(t *testing.T, settings ...string) *KafkaServer {
	t.Helper()
	jars, err := Fetched("ONDA_TEST_KAFKA", "kafka", "*")
	if err != nil {
		missingBroker(t, "Kafka's jars are not there: run deploy/local/setup.sh brokers, or set ONDA_TEST_KAFKA to their folder")
	}
	java, err := exec.LookPath("java")
	if err != nil {
		missingBroker(t, "java is not there, which runs Kafka: install Java 17 or newer, which is the package default-jre-headless of Debian and openjdk of Homebrew")
	}
	k := &KafkaServer{t: t, Addr: Loopback(FreePort(t)), jars: jars, java: java, dir: t.TempDir()}
	k.configure(Loopback(FreePort(t)), settings)
	k.run("kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c", k.file)
	k.start()
	for _, topic := range []string{"scoring.requests", "scoring.results", "scoring.deadletter"} {
		k.Topic(topic)
	}
	return k
}

// configure writes the settings: those of one node, and no topic that nobody made.
func (k *KafkaServer) configure(controller string, settings []string) {
	k.t.Helper()
	k.file = filepath.Join(k.dir, "server.properties")
	lines := append([]string{
		"process.roles=broker,controller", "node.id=1", "controller.quorum.voters=1@" + controller,
		"listeners=CLIENTS://" + k.Addr + ",CONTROLLER://" + controller, "advertised.listeners=CLIENTS://" + k.Addr,
		"controller.listener.names=CONTROLLER", "inter.broker.listener.name=CLIENTS",
		"listener.security.protocol.map=CONTROLLER:PLAINTEXT,CLIENTS:PLAINTEXT",
		"log.dirs=" + filepath.Join(k.dir, "data"), "auto.create.topics.enable=false", "group.initial.rebalance.delay.ms=0",
		"offsets.topic.num.partitions=2", "offsets.topic.replication.factor=1",
		"transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1",
		"share.coordinator.state.topic.replication.factor=1", "share.coordinator.state.topic.min.isr=1",
	}, settings...)
	if err := os.WriteFile(k.file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		k.t.Fatal(err)
	}
}

// Topic makes a topic.
func (k *KafkaServer) Topic(name string) {
	k.t.Helper()
	k.run("org.apache.kafka.tools.TopicCommand", "--bootstrap-server", k.Addr, "--create", "--topic", name, "--partitions", strconv.Itoa(KafkaPartitions))
}

func (k *KafkaServer) start() {
	k.t.Helper()
	k.Process = Start(k.t, "kafka", k.dir, nil, k.java, k.args("-Dlog4j2.level=WARN", "kafka.Kafka", k.file)...)
	k.Wait(k.t, "kafka answers", k.answers)
}

// answers says whether the broker is in service: it lists its topics.
func (k *KafkaServer) answers() error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := reachable(ctx, k.Addr); err != nil {
		return err
	}
	return k.tool(ctx, "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", k.Addr, "--list")
}

// args make a Java that starts fast and stays small.
func (k *KafkaServer) args(more ...string) []string {
	return append([]string{"-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(k.jars, "*")}, more...)
}

// run runs one of Kafka's tools.
func (k *KafkaServer) run(tool string, args ...string) {
	k.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := k.tool(ctx, tool, args...); err != nil {
		k.t.Fatal(err)
	}
}

func (k *KafkaServer) tool(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, k.java, k.args(append([]string{name}, args...)...)...).CombinedOutput() //nolint:gosec // Kafka's own tools
	if err != nil {
		return errors.Join(fmt.Errorf("%s %q: %w", name, args, err), errors.New(string(out)))
	}
	return nil
}

// Backend keeps events in the server, and state in a file. Nobody has to say who he is.
func (k *KafkaServer) Backend(state string) Backend {
	to := map[string]string{"brokers": k.Addr, "authType": "none"}
	return Backend{folder: "kafka", values: map[string]map[string]string{"statestore": {"connectionString": state}, "pubsub": to, "deadletters": to}}
}
