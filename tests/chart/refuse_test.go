package chart_test

import (
	"strings"
	"testing"
)

// TestWrongValuesAreRefused: with a message that names the value, and says what would be right.
func TestWrongValuesAreRefused(t *testing.T) {
	t.Parallel()
	const events = "events: {enabled: true, broker: "
	const ingress = "ingress: {enabled: true, host: a.example.com, tls: {secretName: s}, gateway: {className: g}, controllerNamespace: web, auth: {"
	for _, test := range []struct{ values, want string }{
		// What the schema says.
		{"profile: tpu", "'/profile': value must be one of 'cpu', 'gpu'"},
		{"replicaCount: 3", "additional properties 'replicaCount' not allowed"},
		{"image: {repo: onda}", "'/image': additional properties 'repo' not allowed"},
		{"image: {digest: sha256:abc}", "'/image/digest'"},
		{"replicas: -1", "'/replicas'"},
		{"dapr: {maxBodySize: 1Gi}", "'/dapr/maxBodySize'"},
		{"dapr: null", "missing property 'dapr'"},
		{"resources: {limits: {cpu: 0}}", "'/resources/limits/cpu'"},
		{"resources: {limits: {memory: lots}}", "'/resources/limits/memory'"},
		{"settings: {ONDA_LISTEN: ':80'}", "'/settings/ONDA_LISTEN'"},
		{"settings: {PATH: /bin}", "'/settings'"},
		{"gpu: {count: 2}", "'/gpu/count'"},
		{"autoscaling: {targetSaturation: 0.001}", "'/autoscaling/targetSaturation'"},
		{"podAnnotations: {dapr.io/enabled: 'false'}", "'/podAnnotations/dapr.io~1enabled'"},
		{"podLabels: {app.kubernetes.io/component: x}", "'/podLabels/app.kubernetes.io~1component'"},
		{"registry: {changes: open}", "'/registry/changes'"},
		// What the templates say.
		{"models: {source: volume}", "models.volume.claimName is empty"},
		{"models: {source: registry}", "models.source: registry needs a state store"},
		{"models: {cache: {hostPath: /a, claimName: b}}", "models.cache: set at most one"},
		{"state: {kind: cosmosdb}", "azure.cosmos.url is empty"},
		{"state: {kind: redis}", "redis.host is empty"},
		{"{state: {kind: redis}, redis: {host: 'r:1', entraID: true, tls: false}}", "redis.entraID: true needs redis.tls: true"},
		{"{registry: {changes: token}, azure: {cosmos: {url: 'https://a/'}}}", "registry.token.secretName is empty"},
		{"registry: {changes: token, token: {secretName: s}}", "registry.changes: token needs a state store"},
		{"dapr: {secretStore: keyvault}", "azure.keyVault is empty"},
		{"dapr: {health: {interval: 1, timeoutMilliseconds: 1000}}", "dapr.health.timeoutMilliseconds is 1000: want less than"},
		{"rollout: {maxSurge: 0}", "rollout.maxSurge and rollout.maxUnavailable are both 0"},
		{events + "servicebus}", "azure.serviceBusNamespace is empty"},
		{events + "eventhubs}", "azure.eventHubsNamespace is empty"},
		{"{" + events + "eventhubs}, azure: {eventHubsNamespace: a.b}}", "azure.storage.account is empty"},
		{events + "kafka}", "kafka.brokers or kafka.secretName is empty"},
		{events + "rabbitmq}", "rabbitmq.connectionSecret.name is empty"},
		{events + "redis}", "redis.host is empty"},
		{"{" + events + "redis, resultsTopic: scoring.requests}, redis: {host: 'r:1'}}", "must be three different names"},
		{"autoscaling: {kind: hpa, min: 5, max: 4}", "autoscaling.min is 5, more than autoscaling.max, 4"},
		{"autoscaling: {kind: hpa, min: 0}", "autoscaling.min is 0"},
		{"autoscaling: {kind: hpa, targetCPU: 0, targetSaturation: 0}", "autoscaling.targetCPU and autoscaling.targetSaturation are both 0"},
		{"autoscaling: {kind: keda}", "autoscaling.kind: keda has no trigger"},
		{"autoscaling: {kind: keda, min: 0, keda: {prometheus: {serverAddress: 'http://p'}}}", "autoscaling.min is 0: nothing would wake up"},
		{"{autoscaling: {kind: keda}, " + events + "redis}, redis: {host: 'r:1', entraID: true}}", "KEDA logs in to Redis with a password"},
		{"ingress: {enabled: true}", "ingress.auth.kind is empty"},
		{"ingress: {enabled: true, auth: {kind: none}}", "ingress.host is empty"},
		{"ingress: {enabled: true, host: a.b, auth: {kind: none}}", "ingress.tls.secretName is empty"},
		{"ingress: {enabled: true, host: a.b, tls: {secretName: s}, auth: {kind: none}}", "ingress.gateway.className is empty"},
		{"ingress: {enabled: true, kind: nginx, host: a.b, tls: {secretName: s}, auth: {kind: none}}", "ingress.controllerNamespace is empty"},
		{ingress + "kind: oidc}}", "ingress.auth.oidc: issuer or audience is empty"},
		{"{" + ingress + "kind: oidc, oidc: {issuer: 'https://i', audience: a}}}, networkPolicy: {enabled: false}}", "networkPolicy.enabled: false"},
		{"{" + ingress + "kind: oidc, oidc: {issuer: 'https://i', audience: a}}, edge: {appId: onda}}}", "ingress.edge.appId is dapr.appId"},
		{ingress + "kind: token}}", "dapr.appTokenSecret is empty"},
		{ingress + "kind: forward}}", "ingress.auth.kind: forward is for ingress.kind: nginx"},
		{ingress + "kind: forward}, kind: nginx}", "ingress.auth.forward.url is empty"},
		{"{" + ingress + "kind: none}}, dapr: {appTokenSecret: t}}", "ingress.auth.kind: none: with dapr.appTokenSecret"},
	} {
		t.Run(test.values, func(t *testing.T) {
			t.Parallel()
			manifests, problems, err := template(t, "-f", valuesFile(t, test.values))
			if err == nil {
				t.Fatalf("the values were taken: %d bytes", len(manifests))
			}
			if !strings.Contains(problems, test.want) {
				t.Errorf("the message is %q, want %q in it", problems, test.want)
			}
		})
	}
}

// TestNobodyGetsInWithoutBeingAsked: the one way to an open ingress is to say so.
func TestNobodyGetsInWithoutBeingAsked(t *testing.T) {
	t.Parallel()
	all := render(t, "ingress: {enabled: true, host: a.example.com, tls: {secretName: s}, gateway: {className: g}, controllerNamespace: web, auth: {kind: none}}")
	if got := all.one(t, "HTTPRoute", "onda").text("spec", "rules", 0, "backendRefs", 0, "name"); got != "onda" {
		t.Errorf("the open route goes to %q, want onda", got)
	}
	for _, kind := range []string{"Gateway", "HTTPRoute", "Ingress", "Service"} {
		if found := render(t, "").find(kind); len(found) != 0 {
			t.Errorf("by default there is %v", found.names())
		}
	}
}

func TestLint(t *testing.T) {
	t.Parallel()
	for _, name := range append(profileNames(t), "") {
		args := []string{"lint", "--strict", chart}
		if name != "" {
			args = append(args, profile(t, name)...)
		}
		if out, problems, err := run(t, tool(t, "helm"), args...); err != nil {
			t.Errorf("profile %q: %v\n%s%s", name, err, out, problems)
		}
	}
}

// TestOverlaysAreRendered: an overlay that no profile uses is tried by nobody.
func TestOverlaysAreRendered(t *testing.T) {
	t.Parallel()
	for _, overlay := range []string{"values-gpu.yaml", "values-events.yaml"} {
		used := false
		for _, name := range profileNames(t) {
			used = used || strings.Contains(strings.Join(profile(t, name), " "), overlay)
		}
		if !used {
			t.Errorf("no profile uses %s", overlay)
		}
	}
}
