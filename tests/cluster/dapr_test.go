package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

const (
	// system is the namespace of Dapr's control plane.
	system = "dapr-system"
	// sidecarImage is what the injector puts in where the chart names no image.
	sidecarImage = "registry.example.com/dapr/daprd:1.18.1"
)

// daprObjects is what Dapr's own chart makes, as far as the programs ask for it. The pods stand for the programs, which prove
// by a token bound to them who they are. The service leads to this machine, so the webhook has the name that its certificate
// is for.
const daprObjects = `
{apiVersion: v1, kind: ServiceAccount, metadata: {name: dapr-injector, namespace: dapr-system}}
---
{apiVersion: v1, kind: Secret, metadata: {name: dapr-trust-bundle, namespace: dapr-system}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: dapr-trust-bundle, namespace: dapr-system}}
---
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {name: daprsystem, namespace: dapr-system}
spec: {mtls: {enabled: true, workloadCertTTL: 24h, allowedClockSkew: 15m, controlPlaneTrustDomain: cluster.local, sentryAddress: "dapr-sentry.dapr-system.svc.cluster.local:443"}}
---
apiVersion: v1
kind: Pod
metadata: {name: injector, namespace: dapr-system, annotations: {dapr.io/control-plane: injector}}
spec: {serviceAccountName: dapr-injector, containers: [{name: injector, image: registry.example.com/dapr/injector}]}
---
apiVersion: v1
kind: Service
metadata: {name: dapr-sidecar-injector, namespace: dapr-system}
spec: {type: ExternalName, externalName: localhost}
`

const webhook = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata: {name: dapr-sidecar-injector}
webhooks:
  - name: sidecar-injector.dapr.io
    reinvocationPolicy: IfNeeded
    clientConfig: {service: {namespace: dapr-system, name: dapr-sidecar-injector, path: /mutate, port: %d}}
    rules: [{apiGroups: [""], apiVersions: [v1], resources: [pods], operations: [CREATE]}]
    failurePolicy: Fail
    sideEffects: None
    admissionReviewVersions: [v1, v1beta1]
    namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [dapr-system]}]}
`

// startDapr runs sentry and the injector as Dapr's chart does, with mTLS between them.
func (c *cluster) startDapr(ctx context.Context) error {
	if _, err := kubectl(ctx, "", "create", "namespace", system); err != nil {
		return err
	}
	if err := await(ctx, func() error { _, err := kubectl(ctx, daprObjects, "apply", "-f", "-"); return err }); err != nil {
		return err
	}
	sentry, injector, health := freePort(), freePort(), freePort()
	env := []string{
		"NAMESPACE=" + system, "KUBECONFIG=" + kubeconfig, "KUBE_CLUSTER_DOMAIN=cluster.local",
		// In its image each of them has a user of its own.
		"DAPR_UNSAFE_SKIP_CONTAINER_UID_GID_CHECK=true",
	}
	if err := c.startSentry(ctx, env, sentry); err != nil {
		return err
	}
	token, err := kubectl(ctx, "", "create", "token", "dapr-injector", "-n", system, "--bound-object-kind", "Pod",
		"--bound-object-name", "injector", "--audience", "spiffe://cluster.local/ns/"+system+"/dapr-sentry")
	if err != nil {
		return err
	}
	file := filepath.Join(c.dir, "injector.token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		return err
	}
	if _, err := kubectl(ctx, fmt.Sprintf(webhook, injector), "apply", "-f", "-"); err != nil {
		return err
	}
	env = append(env, "DAPR_SENTRY_TOKEN_FILE="+file, "DAPR_TRUST_ANCHORS_FILE="+c.anchors(),
		"DAPR_CONTROL_PLANE_TRUST_DOMAIN=cluster.local", "DAPR_SENTRY_ADDRESS=127.0.0.1:"+strconv.Itoa(sentry),
		"SIDECAR_IMAGE="+sidecarImage, "SIDECAR_IMAGE_PULL_POLICY=IfNotPresent", "SIDECAR_DROP_ALL_CAPABILITIES=true")
	if err := c.run("injector", env, "--kubeconfig", kubeconfig, "--port", strconv.Itoa(injector),
		"--healthz-port", strconv.Itoa(health), "--enable-metrics=false", "--scheduler-enabled=false"); err != nil {
		return err
	}
	return await(ctx, func() error { return c.injects(ctx) })
}

// startSentry waits until sentry has made its certificates, and keeps the trust anchors where the others read them.
func (c *cluster) startSentry(ctx context.Context, env []string, port int) error {
	if err := os.MkdirAll(filepath.Join(c.dir, "issuer"), 0o700); err != nil {
		return err
	}
	if err := c.run("sentry", env, "--mode", "kubernetes", "--kubeconfig", kubeconfig, "--trust-domain", "cluster.local",
		"--issuer-credentials", filepath.Join(c.dir, "issuer"), "--listen-address", "127.0.0.1", "--port", strconv.Itoa(port),
		"--healthz-port", strconv.Itoa(freePort()), "--healthz-listen-address", "127.0.0.1", "--enable-metrics=false"); err != nil {
		return err
	}
	return await(ctx, func() error {
		anchors, err := kubectl(ctx, "", "get", "configmap", "dapr-trust-bundle", "-n", system, "-o", `jsonpath={.data.ca\.crt}`)
		if err == nil && anchors == "" {
			err = errors.New("sentry has not made its certificates")
		}
		if err != nil {
			return err
		}
		return os.WriteFile(c.anchors(), []byte(anchors), 0o600)
	})
}

func (c *cluster) anchors() string { return filepath.Join(c.dir, "ca.crt") }

// injects tells whether the injector answers: the webhook refuses every pod while it does not.
func (c *cluster) injects(ctx context.Context) error {
	_, err := kubectl(ctx, "{apiVersion: v1, kind: Pod, metadata: {name: probe, namespace: default}, spec: {containers: [{name: a, image: a}]}}",
		"create", "--dry-run=server", "-f", "-")
	if err == nil {
		return nil
	}
	said, _ := os.ReadFile(filepath.Join(c.dir, "injector.log"))
	return fmt.Errorf("the injector does not answer: %w\n%s", err, tail(said, 2000))
}

// tail is the end of a text.
func tail(text []byte, bytes int) []byte { return text[max(0, len(text)-bytes):] }
