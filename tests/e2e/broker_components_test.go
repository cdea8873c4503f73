package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// settings lists the metadata of the component types in components/ that may stand there, from
// the source of Dapr's components: a name that is not known is passed over without a word.
var settings = map[string][]string{
	"pubsub.in-memory": {},
	"state.sqlite":     {"connectionString", "busyTimeout", "tableName", "metadataTableName", "timeout", "cleanupInterval", "disableWAL"},
	"state.redis": {
		"redisHost", "redisUsername", "redisPassword", "enableTLS", "redisType", "redisDB", "redisMaxRetries", "dialTimeout", "readTimeout", "writeTimeout",
		"poolSize", "failover", "sentinelMasterName", "ttlInSeconds",
	},
	"pubsub.redis": {
		"redisHost", "redisUsername", "redisPassword", "enableTLS", "redisType", "redisDB", "redisMaxRetries", "dialTimeout", "readTimeout", "writeTimeout",
		"poolSize", "failover", "sentinelMasterName", "consumerID", "concurrency", "queueDepth", "processingTimeout", "redeliverInterval", "maxLenApprox", "streamTTL",
	},
	"pubsub.kafka": {
		"brokers", "authType", "saslMechanism", "saslUsername", "saslPassword", "consumerGroup", "initialOffset", "consumeRetryEnabled", "consumeRetryInterval",
		"sessionTimeout", "heartbeatInterval", "consumerGroupRebalanceStrategy", "channelBufferSize", "maxMessageBytes", "caCert", "disableTls", "version",
	},
	"pubsub.rabbitmq": {
		"connectionString", "durable", "deliveryMode", "publisherConfirm", "deletedWhenUnused", "requeueInFailure", "autoAck", "enableDeadLetter", "prefetchCount",
		"concurrency", "exchangeKind", "reconnectWaitSeconds", "heartBeat", "ttlInSeconds", "maxLen", "maxLenBytes",
	},
	"pubsub.azure.servicebus.topics": {
		"namespaceName", "connectionString", "consumerID", "disableEntityManagement", "lockDurationInSec", "maxDeliveryCount", "lockRenewalInSec", "handlerTimeoutInSec",
		"maxConcurrentHandlers", "maxActiveMessages", "maxRetriableErrorsPerSec", "maxConnectionRecoveryInSec", "timeoutInSec", "defaultMessageTimeToLiveInSec",
	},
	"pubsub.azure.eventhubs": {
		"eventHubNamespace", "connectionString", "storageAccountName", "storageAccountKey", "storageContainerName", "consumerID", "enableEntityManagement",
		"enableInOrderMessageDelivery",
	},
}

// unlisted are read by the components, or by the runtime for them, and are not in the list of
// settings that Dapr publishes for the type.
var unlisted = map[string][]string{
	"state.redis":            {"keyPrefix"},
	"pubsub.rabbitmq":        {"consumerID"},
	"pubsub.azure.eventhubs": {"backOffPolicy", "backOffDuration", "backOffMaxRetries"},
}

// secret are the settings that may stand in no file.
var secret = []string{
	"connectionString", "saslUsername", "saslPassword", "redisUsername", "redisPassword", "sentinelPassword", "storageAccountKey", "storageConnectionString", "clientKey", "password",
}

// perSubscription are the metadata of subscriptions, by the type of the component.
var perSubscription = map[string][]string{
	"pubsub.rabbitmq":                {"queueType", "maxPriority", "singleActiveConsumer", "maxLen", "maxLenBytes", "routingKey"},
	"pubsub.azure.servicebus.topics": {"requireSessions", "sessionIdleTimeoutInSec", "maxConcurrentSessions"},
	"pubsub.azure.eventhubs":         {"checkPointFrequencyPerPartition", "requireAllProperties", "rawPayload"},
	"pubsub.kafka":                   {"valueSchemaType"},
}

// streamed are the types that Onda subscribes to by a stream. A bulk subscription to those that
// give the sidecar single events stands still once the app was killed; over HTTP, one delivery can
// get the answer to another.
var streamed = []string{"pubsub.redis", "pubsub.rabbitmq", "pubsub.kafka", "pubsub.azure.servicebus.topics"}

// largestEvent and largestBody are those of the brokers and of ONDA_MAX_BODY, in bytes.
const largestEvent, largestBody = 1 << 20, 32 << 20

// resource is a document in components/, of any kind.
type resource struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   struct {
		Name string `yaml:"name"`
	} `yaml:"metadata"`
	Spec   yaml.Node `yaml:"spec"`
	Scopes []string  `yaml:"scopes"`
}

type componentSpec struct {
	Type     string         `yaml:"type"`
	Version  string         `yaml:"version"`
	Metadata []metadataItem `yaml:"metadata"`
}

type metadataItem struct {
	Name   string `yaml:"name"`
	Value  any    `yaml:"value"`
	Secret struct {
		Name string `yaml:"name"`
		Key  string `yaml:"key"`
	} `yaml:"secretKeyRef"`
}

type subscriptionSpec struct {
	PubSub   string            `yaml:"pubsubname"`
	Topic    string            `yaml:"topic"`
	Metadata map[string]string `yaml:"metadata"`
	Routes   struct {
		Default string `yaml:"default"`
	} `yaml:"routes"`
	DeadLetters string `yaml:"deadLetterTopic"`
	Bulk        struct {
		Enabled bool `yaml:"enabled"`
		Most    int  `yaml:"maxMessagesCount"`
		Await   int  `yaml:"maxAwaitDurationMs"`
	} `yaml:"bulkSubscribe"`
}

type policyNames struct {
	Timeout string `yaml:"timeout"`
	Retry   string `yaml:"retry"`
}

type resiliencySpec struct {
	Policies struct {
		Timeouts map[string]string `yaml:"timeouts"`
		Retries  map[string]struct {
			Policy      string `yaml:"policy"`
			Duration    string `yaml:"duration"`
			MaxInterval string `yaml:"maxInterval"`
			MaxRetries  *int   `yaml:"maxRetries"`
		} `yaml:"retries"`
	} `yaml:"policies"`
	Targets struct {
		Components map[string]struct {
			Inbound  policyNames `yaml:"inbound"`
			Outbound policyNames `yaml:"outbound"`
		} `yaml:"components"`
	} `yaml:"targets"`
}

// folder is what a folder of components/ has, with the local files that it does not replace.
type folder struct {
	components    map[string]componentSpec
	subscriptions map[string]subscriptionSpec
	resiliency    resiliencySpec
}

// strictly decodes a document whose every key must be known.
func strictly(text []byte, to any) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	return decoder.Decode(to)
}

// readFolder reads folders, of which later ones replace files of earlier ones.
func readFolder(paths ...string) (folder, error) {
	all := folder{components: map[string]componentSpec{}, subscriptions: map[string]subscriptionSpec{}}
	files := map[string]string{}
	for _, path := range paths {
		found, err := filepath.Glob(filepath.Join(path, "*.yaml"))
		if err != nil || len(found) == 0 {
			return all, fmt.Errorf("there are no files in %s (%w)", path, err)
		}
		for _, file := range found {
			files[filepath.Base(file)] = file
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		text, err := os.ReadFile(files[name])
		if err == nil {
			err = all.add(text)
		}
		if err != nil {
			return all, fmt.Errorf("%s: %w", files[name], err)
		}
	}
	return all, nil
}

// add reads the documents of a file.
func (f *folder) add(text []byte) error {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	for {
		var r resource
		if err := decoder.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		spec, err := yaml.Marshal(&r.Spec)
		if err != nil {
			return err
		}
		if err := f.addResource(r, spec); err != nil {
			return fmt.Errorf("%s %s: %w", r.Kind, r.Metadata.Name, err)
		}
	}
}

func (f *folder) addResource(r resource, spec []byte) (err error) {
	if r.Kind != "Configuration" && !slices.Equal(r.Scopes, []string{"onda"}) {
		return fmt.Errorf("scopes %q: want onda alone", r.Scopes)
	}
	switch kind := r.APIVersion + " " + r.Kind; kind {
	case "dapr.io/v1alpha1 Configuration":
	case "dapr.io/v1alpha1 Component":
		var c componentSpec
		if err = strictly(spec, &c); err == nil {
			err = c.check()
		}
		f.components[r.Metadata.Name] = c
	case "dapr.io/v2alpha1 Subscription":
		var s subscriptionSpec
		err = strictly(spec, &s)
		f.subscriptions[r.Metadata.Name] = s
	case "dapr.io/v1alpha1 Resiliency":
		err = strictly(spec, &f.resiliency)
	default:
		err = fmt.Errorf("%s is not known", kind)
	}
	return err
}

// check says which setting of a component is wrong.
func (c componentSpec) check() error {
	known, ok := settings[c.Type]
	if !ok || c.Version != "v1" {
		return fmt.Errorf("type %s of version %s is not known", c.Type, c.Version)
	}
	known = slices.Concat(known, unlisted[c.Type])
	seen := map[string]bool{}
	for _, item := range c.Metadata {
		_, text := item.Value.(string)
		bySecret := item.Secret.Name != "" && item.Secret.Key != ""
		switch {
		case !slices.Contains(known, item.Name):
			return fmt.Errorf("%s has no setting %q: want one of %q", c.Type, item.Name, known)
		case seen[item.Name]:
			return fmt.Errorf("%s is set twice", item.Name)
		case text == bySecret:
			return fmt.Errorf("%s: want either a text or a secretKeyRef with name and key", item.Name)
		case slices.Contains(secret, item.Name) && !bySecret && c.Type != "state.sqlite": // a file's name there
			return fmt.Errorf("%s is a secret: want a secretKeyRef", item.Name)
		}
		seen[item.Name] = true
	}
	return nil
}

// check says what is wrong between the documents of a folder.
func (f folder) check() error {
	for name, s := range f.subscriptions {
		if err := f.checkSubscription(s); err != nil {
			return fmt.Errorf("subscription %s: %w", name, err)
		}
	}
	if f.subscriptions["scoring-requests"].Topic != requestsTopic && !slices.Contains(streamed, f.components[pubsub].Type) {
		return errors.New("there is no subscription to scoring requests")
	}
	retries := f.resiliency.Policies.Retries
	for name, target := range f.resiliency.Targets.Components {
		if _, ok := f.components[name]; !ok {
			return fmt.Errorf("resiliency names the component %q, which is not there", name)
		}
		for _, policy := range []policyNames{target.Inbound, target.Outbound} {
			if _, ok := retries[policy.Retry]; !ok && policy.Retry != "" {
				return fmt.Errorf("there is no retry %q", policy.Retry)
			}
			if _, ok := f.resiliency.Policies.Timeouts[policy.Timeout]; !ok && policy.Timeout != "" {
				return fmt.Errorf("there is no timeout %q", policy.Timeout)
			}
		}
	}
	return nil
}

func (f folder) checkSubscription(s subscriptionSpec) error {
	c, ok := f.components[s.PubSub]
	if !ok {
		return fmt.Errorf("there is no component %q", s.PubSub)
	}
	for name := range s.Metadata {
		if !slices.Contains(perSubscription[c.Type], name) {
			return fmt.Errorf("%s has no setting %q for subscriptions: want one of %q", c.Type, name, perSubscription[c.Type])
		}
	}
	inbound, ok := f.resiliency.Policies.Retries[f.resiliency.Targets.Components[s.PubSub].Inbound.Retry]
	if !ok || inbound.MaxRetries == nil {
		return fmt.Errorf("component %s has no inbound retry: an event that failed would be lost", s.PubSub)
	}
	forever := inbound.Policy == "constant" && *inbound.MaxRetries == -1 // the exponential policy ends after 15 minutes
	switch {
	case s.Topic == requestsTopic && (s.Routes.Default != "/events/scoring" || s.DeadLetters != deadLetterTopic || *inbound.MaxRetries < 1):
		return fmt.Errorf("%s goes to %s with dead letters to %q after %d tries", s.Topic, s.Routes.Default, s.DeadLetters, *inbound.MaxRetries)
	case s.Topic == requestsTopic && slices.Contains(streamed, c.Type):
		return fmt.Errorf("%s: Onda subscribes to %s itself", c.Type, s.Topic)
	case s.Topic == requestsTopic && !s.Bulk.Enabled && c.Type != "pubsub.in-memory": // the sidecar can take an empty answer about a single event for a success
		return fmt.Errorf("bulkSubscribe of %s: %v", c.Type, s.Bulk.Enabled)
	case s.Bulk.Enabled && s.Metadata["rawPayload"] != "true": // the sidecar would write long numbers anew
		return fmt.Errorf("bulkSubscribe of %s without rawPayload", c.Type)
	case s.Bulk.Enabled && s.Bulk.Most*largestEvent*4/3 > largestBody: // it would be refused whole
		return fmt.Errorf("bulkSubscribe of %s with %d events at once", c.Type, s.Bulk.Most)
	case s.Topic == deadLetterTopic && s.PubSub != pubsub && (s.Routes.Default != "/events/deadletters" || s.DeadLetters != "" || !forever):
		return fmt.Errorf("%s goes to %s with dead letters to %q, and is tried %d times, %s", s.Topic, s.Routes.Default, s.DeadLetters, *inbound.MaxRetries, inbound.Policy)
	case s.Topic != requestsTopic && s.Topic != deadLetterTopic:
		return fmt.Errorf("topic %q", s.Topic)
	}
	return nil
}

// TestComponents reads all that is in components/.
func TestComponents(t *testing.T) {
	t.Parallel()
	local := filepath.Join(root, "components", "local")
	for _, name := range []string{"local", "redis", "kafka", "rabbitmq", "azure-servicebus", "azure-eventhubs"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			paths := []string{local}
			if name != "local" {
				paths = append(paths, filepath.Join(root, "components", name))
			}
			f, err := readFolder(paths...)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.check(); err != nil {
				t.Error(err)
			}
			if name != "local" && f.subscriptions["scoring-deadletters"].Topic != deadLetterTopic {
				t.Error("there is no subscription to dead letters")
			}
		})
	}
}

// TestComponentsWithMistakes shows that mistakes are found.
func TestComponentsWithMistakes(t *testing.T) {
	t.Parallel()
	mistakes := []struct{ folder, file, from, to, says string }{
		{"redis", "pubsub.yaml", "name: processingTimeout", "name: procesingTimeout", "no setting"},
		{"rabbitmq", "pubsub.yaml", "name: prefetchCount", "name: prefetch", "no setting"},
		{"kafka", "pubsub.yaml", "name: initialOffset", "name: consumerID", "no setting"},
		{"azure-servicebus", "pubsub.yaml", "name: maxConcurrentHandlers", "name: maxConcurrentHandler", "no setting"},
		{"azure-eventhubs", "pubsub.yaml", "name: backOffMaxRetries", "name: backoffMaxRetries", "no setting"},
		{"azure-eventhubs", "pubsub.yaml", "type: pubsub.azure.eventhubs", "type: pubsub.azure.eventhub", "not known"},
		{"kafka", "pubsub.yaml", "secretKeyRef:\n        name: onda-kafka\n        key: password", "value: hunter2", "secretKeyRef"},
		{"kafka", "pubsub.yaml", "scopes: [onda]", "scopes: [other]", "scopes"},
		{"azure-eventhubs", "subscription.yaml", "maxMessagesCount", "maxMessageCount", "not found"},
		{"azure-eventhubs", "subscription.yaml", "enabled: true", "enabled: false", "bulkSubscribe"},
		{"azure-eventhubs", "subscription.yaml", "maxMessagesCount: 16", "maxMessagesCount: 64", "64 events at once"},
		{"azure-eventhubs", "subscription.yaml", "rawPayload: \"true\"", "rawPayload: \"false\"", "without rawPayload"},
		{"azure-eventhubs", "subscription.yaml", "deadLetterTopic: scoring.deadletter", "deadLetterTopic: scoring.dead", "dead letters to"},
		{"redis", "subscription.yaml", "name: scoring-deadletters\nspec:\n  pubsubname: deadletters\n  topic: scoring.deadletter", "name: scoring-requests\nspec:\n  pubsubname: pubsub\n  topic: scoring.requests\n  deadLetterTopic: scoring.deadletter", "goes to /events/deadletters"},
		{"redis", "subscription.yaml", "pubsubname: deadletters", "pubsubname: letters", "no component"},
		{"redis", "resiliency.yaml", "retry: redelivery", "retry: redeliver", "there is no retry"},
		{"redis", "resiliency.yaml", "policy: constant\n        duration: 10s", "policy: exponential", "is tried -1 times"},
	}
	for _, m := range mistakes {
		t.Run(m.folder+" "+m.to, func(t *testing.T) {
			t.Parallel()
			changed := t.TempDir()
			if err := os.CopyFS(changed, os.DirFS(filepath.Join(root, "components", m.folder))); err != nil {
				t.Fatal(err)
			}
			text := string(read(t, filepath.Join(changed, m.file)))
			if !strings.Contains(text, m.from) {
				t.Fatalf("%s has no %q", m.file, m.from)
			}
			write(t, filepath.Join(changed, m.file), []byte(strings.Replace(text, m.from, m.to, 1)))
			f, err := readFolder(filepath.Join(root, "components", "local"), changed)
			if err == nil {
				err = f.check()
			}
			if err == nil || !strings.Contains(err.Error(), m.says) {
				t.Errorf("got %v, want an error with %q", err, m.says)
			}
		})
	}
}

// TestSettingsAreDaprs holds the lists above against what the pinned version of Dapr publishes.
func TestSettingsAreDaprs(t *testing.T) {
	t.Parallel()
	source := daprComponents(t)
	for kind, names := range settings {
		published := publishedSettings(t, filepath.Join(source, filepath.FromSlash(strings.ReplaceAll(kind, ".", "/")), "metadata.yaml"))
		for _, name := range names {
			if !slices.Contains(published, name) {
				t.Errorf("%s has no setting %q: want one of %q", kind, name, published)
			}
		}
		for _, name := range unlisted[kind] {
			if slices.Contains(published, name) {
				t.Errorf("%s has the setting %q by now: it belongs into the other list", kind, name)
			}
		}
	}
}

// daprComponents gives the source of the Dapr components that the pinned sidecar is built with.
// It is fetched where the sidecar was not built on this machine.
func daprComponents(t *testing.T) string {
	t.Helper()
	download := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", "github.com/dapr/components-contrib")
	download.Dir = filepath.Join(root, "deploy", "local", "dapr")
	var found struct{ Dir, Error string }
	out, err := download.Output()
	if err := errors.Join(err, json.Unmarshal(out, &found)); err != nil || found.Dir == "" {
		t.Fatalf("the source of Dapr's components: %v: %s", err, found.Error)
	}
	return found.Dir
}

// publishedSettings reads the settings of a type, and those of its ways to show who it is.
func publishedSettings(t *testing.T, path string) (names []string) {
	t.Helper()
	type item struct {
		Name string `yaml:"name"`
	}
	type profile struct {
		Metadata []item `yaml:"metadata"`
	}
	var file struct {
		Metadata []item    `yaml:"metadata"`
		Own      []profile `yaml:"authenticationProfiles"`
		Builtin  []profile `yaml:"builtinAuthenticationProfiles"`
	}
	if err := yaml.Unmarshal(read(t, path), &file); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for _, p := range append(append(file.Own, file.Builtin...), profile{file.Metadata}) {
		for _, i := range p.Metadata {
			names = append(names, i.Name)
		}
	}
	return names
}
