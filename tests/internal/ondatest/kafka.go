package ondatest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// KafkaPartitions is how many partitions each topic of a test's Kafka has.
const KafkaPartitions = 4

// Kafka starts a Kafka for the time of a test, with Onda's topics: one process that is broker
// and controller. Further settings come as lines of server.properties, such as
// "message.max.bytes=100000"; {clients} and {controller} in them stand for its addresses.
func Kafka(t *testing.T, settings ...string) *BrokerServer {
	t.Helper()
	b, err := NewKafka(t.TempDir(), settings...)
	return b.start(t, err)
}

// kafka is how Kafka's programs are run.
type kafka struct{ jars, java, dir, addr string }

// NewKafka gives a Kafka whose data are in a folder, which must be empty. The error is
// [ErrNotInstalled] where Kafka or Java is not there.
func NewKafka(dir string, settings ...string) (*Broker, error) {
	jars, err := Fetched("ONDA_TEST_KAFKA", "kafka", "*")
	if err != nil {
		return nil, notInstalledError("Kafka's jars are not there: run deploy/local/setup.sh brokers, or set ONDA_TEST_KAFKA to their folder")
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return nil, notInstalledError("java is not there, which runs Kafka: install Java 17 or newer, which is the package default-jre-headless of Debian and openjdk of Homebrew")
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	k := kafka{jars: jars, java: java, dir: dir, addr: Loopback(ports[0])}
	controller := Loopback(ports[1])
	for i := range settings {
		settings[i] = strings.NewReplacer("{clients}", k.addr, "{controller}", controller).Replace(settings[i])
	}
	file, err := writeLines(dir, "server.properties", k.settings(controller), settings)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	if err := k.tool(ctx, "kafka.tools.StorageTool", "format", "-t", "4L6g3nShT-eMCtK--X86sw", "-c", file); err != nil {
		return nil, err
	}
	return &Broker{
		Name: k.name(), Addr: k.addr, Answers: k.answers, MakeTopics: k.makeTopics, tool: k.tool,
		Programs: []Program{{Name: "kafka", Path: java, Args: k.args("-Dlog4j2.level=WARN", "kafka.Kafka", file), Dir: dir, Addr: k.addr}},
		Backend:  onFolder("kafka", map[string]string{"brokers": k.addr, "authType": "none"}),
	}, nil
}

// name is "Kafka 4.3.1", from the name of a jar.
func (k kafka) name() string {
	found, err := filepath.Glob(filepath.Join(k.jars, "kafka-clients-*.jar"))
	if err != nil || len(found) == 0 {
		return "Kafka"
	}
	return "Kafka " + strings.TrimSuffix(strings.TrimPrefix(filepath.Base(found[0]), "kafka-clients-"), ".jar")
}

// settings are those of one node, and no topic that nobody made.
func (k kafka) settings(controller string) []string {
	return []string{
		"process.roles=broker,controller", "node.id=1", "controller.quorum.voters=1@" + controller,
		"listeners=CLIENTS://" + k.addr + ",CONTROLLER://" + controller, "advertised.listeners=CLIENTS://" + k.addr,
		"controller.listener.names=CONTROLLER", "inter.broker.listener.name=CLIENTS",
		"listener.security.protocol.map=CONTROLLER:PLAINTEXT,CLIENTS:PLAINTEXT",
		"log.dirs=" + filepath.Join(k.dir, "data"), "auto.create.topics.enable=false", "group.initial.rebalance.delay.ms=0",
		"offsets.topic.num.partitions=2", "offsets.topic.replication.factor=1",
		"transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1",
		"share.coordinator.state.topic.replication.factor=1", "share.coordinator.state.topic.min.isr=1",
	}
}

// makeTopics makes one after the other.
func (k kafka) makeTopics(ctx context.Context, partitions int) error {
	for _, topic := range []string{"scoring.requests", "scoring.results", "scoring.deadletter"} {
		err := k.tool(ctx, "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", k.addr, "--create", "--topic", topic, "--partitions", strconv.Itoa(partitions))
		if err != nil {
			return err
		}
	}
	return nil
}

// answers lists the topics.
func (k kafka) answers(ctx context.Context) error {
	if err := reachable(ctx, k.addr); err != nil {
		return err
	}
	return k.tool(ctx, "org.apache.kafka.tools.TopicCommand", "--bootstrap-server", k.addr, "--list")
}

// args make a Java that starts fast and stays small.
func (k kafka) args(more ...string) []string {
	return append([]string{"-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(k.jars, "*")}, more...)
}

// tool runs one of Kafka's tools.
func (k kafka) tool(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, k.java, k.args(append([]string{name}, args...)...)...).CombinedOutput() //nolint:gosec // Kafka's own tools
	if err != nil {
		return errors.Join(fmt.Errorf("%s %q: %w", name, args, err), errors.New(string(out)))
	}
	return nil
}
