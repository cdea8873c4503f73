package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/onda-serving/onda/tests/internal/ondatest"
)

// The user of the brokers below.
const brokerUser, brokerPassword = "onda", "not-to-be-guessed"

// TestKafkaSecured runs events over TLS, as a user with a password, by the references to secrets
// that components/kafka has, with the authority of its own that its comment shows.
func TestKafkaSecured(t *testing.T) {
	group(t)
	secure := ondatest.Loopback(freePort(t))
	certificate, key := certify(t)
	pair := filepath.Join(t.TempDir(), "pair.pem")
	write(t, pair, append(key, certificate...))
	kafka := ondatest.Kafka(t,
		"listeners=CLIENTS://{clients},CONTROLLER://{controller},SECURE://"+secure, "advertised.listeners=CLIENTS://{clients},SECURE://"+secure,
		"listener.security.protocol.map=CONTROLLER:PLAINTEXT,CLIENTS:PLAINTEXT,SECURE:SASL_SSL", "sasl.enabled.mechanisms=SCRAM-SHA-512",
		"listener.name.secure.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
		"ssl.keystore.type=PEM", "ssl.keystore.location="+pair)
	kafka.KafkaTool("kafka.admin.ConfigCommand", "--bootstrap-server", kafka.Addr, "--alter",
		"--entity-type", "users", "--entity-name", brokerUser, "--add-config", "SCRAM-SHA-512=[password="+brokerPassword+"]")
	backend := kafka.Backend(stateFile(t)).Only("brokers", secure)
	secured(t, backend, "onda-kafka", map[string]string{"username": brokerUser, "password": brokerPassword, "ca.crt": string(certificate)})
}

// TestRabbitMQSecured does the same with components/rabbitmq.
func TestRabbitMQSecured(t *testing.T) {
	group(t)
	secure := ondatest.Loopback(freePort(t))
	certificate, key := certify(t)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "cert.pem"), certificate)
	write(t, filepath.Join(dir, "key.pem"), key)
	rabbit := ondatest.RabbitMQ(t, "listeners.ssl.1 = "+secure, "ssl_options.verify = verify_none",
		"ssl_options.cacertfile = "+filepath.Join(dir, "cert.pem"), "ssl_options.certfile = "+filepath.Join(dir, "cert.pem"), "ssl_options.keyfile = "+filepath.Join(dir, "key.pem"),
		"default_user = "+brokerUser, "default_pass = "+brokerPassword)
	backend := rabbit.Backend(stateFile(t)).Only()
	secured(t, backend, "onda-rabbitmq", map[string]string{
		"connectionString": "amqps://" + brokerUser + ":" + brokerPassword + "@" + secure + "/", "ca.crt": string(certificate),
	})
}

// secured starts Onda with the brokers' secrets in a store, and looks whether an event is answered.
func secured(t *testing.T, backend ondatest.Backend, name string, secrets map[string]string) {
	t.Helper()
	models := t.TempDir()
	addFiles(t, models, brittleModel, 1, modelFiles(brittle()))
	b := startOn(t, models, nil, backend, func(t *testing.T, components string) {
		t.Helper()
		all, write := resources(t, filepath.Join(components, "pubsub.yaml"))
		for _, one := range all {
			one["auth"] = map[string]any{"secretStore": "secrets"}
			spec, _ := one["spec"].(map[string]any)
			items, _ := spec["metadata"].([]any)
			spec["metadata"] = append(items, map[string]any{"name": "caCert", "secretKeyRef": map[string]any{"name": name, "key": "ca.crt"}})
		}
		write(filepath.Join(components, "pubsub.yaml"), all...)
		addListener(t, components)
		addSecrets(t, components, name, secrets)
	}, listenerComponent)
	id := b.publish(t, number(3))
	checkAnswered(t, b.results.wait(t, id), id, brittleModel)
}

// addSecrets adds a store of secrets to a folder of components.
func addSecrets(t *testing.T, components, name string, secrets map[string]string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "secrets.json")
	write(t, file, asJSON(t, map[string]any{name: secrets}))
	write(t, filepath.Join(components, "secrets.yaml"), asJSON(t, map[string]any{
		"apiVersion": "dapr.io/v1alpha1", "kind": "Component", "metadata": map[string]any{"name": "secrets"},
		"spec": map[string]any{"type": "secretstores.local.file", "version": "v1", "metadata": []any{
			map[string]any{"name": "secretsFile", "value": file}, map[string]any{"name": "multiValued", "value": "true"},
		}},
	}))
}

// certify makes a certificate for this machine, which is its own authority, and its key.
func certify(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "brokers of tests"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.ParseIP("127.0.0.1")}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}
