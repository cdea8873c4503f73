package chart_test

import "testing"

func TestHorizontalPodAutoscaler(t *testing.T) {
	t.Parallel()
	scaler := render(t, "", profile(t, "hpa")...).one(t, "HorizontalPodAutoscaler", "onda")
	for _, test := range []struct {
		path []any
		want any
	}{
		{[]any{"apiVersion"}, "autoscaling/v2"},
		{[]any{"spec", "scaleTargetRef", "name"}, "onda"},
		{[]any{"spec", "minReplicas"}, 2},
		{[]any{"spec", "maxReplicas"}, 20},
		{[]any{"spec", "metrics", 0, "containerResource", "container"}, "onda"},
		{[]any{"spec", "metrics", 0, "containerResource", "target", "averageUtilization"}, 80},
		{[]any{"spec", "metrics", 1, "pods", "metric", "name"}, "onda_saturation"},
		{[]any{"spec", "metrics", 1, "pods", "target", "averageValue"}, "600m"},
		{[]any{"spec", "behavior", "scaleUp", "stabilizationWindowSeconds"}, 0},
		{[]any{"spec", "behavior", "scaleDown", "stabilizationWindowSeconds"}, 300},
		{[]any{"spec", "behavior", "scaleDown", "policies", 0, "value"}, 25},
	} {
		if got := scaler.at(test.path...); got != test.want {
			t.Errorf("%v is %v, want %v", test.path, got, test.want)
		}
	}
	one := render(t, "autoscaling: {kind: hpa, targetCPU: 0}").one(t, "HorizontalPodAutoscaler", "onda")
	if got := len(one.list("spec", "metrics")); got != 1 {
		t.Errorf("%d metrics without CPU, want 1", got)
	}
}

func TestScaledByServiceBusFromZero(t *testing.T) {
	t.Parallel()
	all := render(t, "", profile(t, "events-servicebus")...)
	scaled := all.one(t, "ScaledObject", "onda")
	for _, test := range []struct {
		path []any
		want any
	}{
		{[]any{"spec", "minReplicaCount"}, 0},
		{[]any{"spec", "pollingInterval"}, 15},
		{[]any{"spec", "cooldownPeriod"}, 120},
		{[]any{"spec", "triggers", 0, "type"}, "azure-servicebus"},
		{[]any{"spec", "triggers", 0, "metadata", "namespace"}, "onda"},
		{[]any{"spec", "triggers", 0, "metadata", "topicName"}, "scoring.requests"},
		{[]any{"spec", "triggers", 0, "metadata", "subscriptionName"}, "onda"},
		{[]any{"spec", "triggers", 0, "metadata", "messageCount"}, "128"},
		{[]any{"spec", "triggers", 0, "authenticationRef", "name"}, "onda-azure"},
		{[]any{"spec", "advanced", "horizontalPodAutoscalerConfig", "behavior", "scaleUp", "policies", 1, "value"}, 4},
	} {
		if got := scaled.at(test.path...); got != test.want {
			t.Errorf("%v is %v, want %v", test.path, got, test.want)
		}
	}
	auth := all.one(t, "TriggerAuthentication", "onda-azure")
	if auth.text("spec", "podIdentity", "provider") != "azure-workload" || auth.text("spec", "podIdentity", "identityId") != "11111111-2222-3333-4444-555555555555" {
		t.Errorf("KEDA logs in as %v", auth["spec"])
	}
	deployment, _ := all.server(t)
	if got := scaled.text("spec", "triggers", 0, "metadata", "subscriptionName"); got != annotations(deployment)["dapr.io/app-id"] {
		t.Errorf("KEDA looks at the subscription %q, and the sidecar reads another", got)
	}
	// Topics and subscriptions are there before the first replica: nobody else could make them.
	if got := metadata(all.one(t, "Component", "onda-pubsub"))["disableEntityManagement"]; got != "true" {
		t.Errorf("disableEntityManagement is %q, want true", got)
	}
}

func TestScaledByRedisStreams(t *testing.T) {
	t.Parallel()
	all := render(t, "dapr: {appId: scorer}", profile(t, "events-redis")...)
	trigger := object(asMap(all.one(t, "ScaledObject", "onda").at("spec", "triggers", 0)))
	for name, want := range map[string]string{
		"address": "onda.redis.cache.windows.net:6380", "stream": "scoring.requests", "consumerGroup": "scorer", "lagCount": "128", "activationLagCount": "0", "enableTLS": "true",
	} {
		if got := trigger.text("metadata", name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	ref := all.one(t, "TriggerAuthentication", trigger.text("authenticationRef", "name"))
	if got := ref.text("spec", "secretTargetRef", 0, "name"); got != "onda-redis" {
		t.Errorf("the password is in %q, want onda-redis", got)
	}
}

func TestScaledByPrometheus(t *testing.T) {
	t.Parallel()
	trigger := object(asMap(render(t, "", profile(t, "keda-prometheus")...).one(t, "ScaledObject", "onda").at("spec", "triggers", 0)))
	for name, want := range map[string]string{
		"serverAddress": "https://onda.westeurope.prometheus.monitor.azure.com",
		"query":         `sum(onda_saturation{namespace="models",pod=~"onda-.+"})`, "threshold": "0.6", "ignoreNullValues": "false",
	} {
		if got := trigger.text("metadata", name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if got := trigger.text("authenticationRef", "name"); got != "onda-azure" {
		t.Errorf("KEDA logs in as %q, want onda-azure", got)
	}
}

func TestOwnTriggers(t *testing.T) {
	t.Parallel()
	triggers := render(t, "", profile(t, "events-eventhubs")...).one(t, "ScaledObject", "onda").list("spec", "triggers")
	if len(triggers) != 1 || at(triggers[0], "type") != "azure-eventhub" || at(triggers[0], "metadata", "checkpointStrategy") != "dapr" {
		t.Errorf("triggers %v", triggers)
	}
}
