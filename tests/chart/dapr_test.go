package chart_test

import (
	"strings"
	"testing"
)

func TestComponentsBelongToOnda(t *testing.T) {
	t.Parallel()
	all := render(t, "", profile(t, "everything")...)
	for _, test := range []struct{ name, scopes string }{
		{"onda-scoring-statestore", "onda"},
		{"onda-scoring-deadletters", "onda"},
		{"onda-scoring-pubsub", "onda shop mailer"},
		{"onda-scoring-edge-bearer", "onda-edge"},
	} {
		var got []string
		for _, scope := range all.one(t, "Component", test.name).list("scopes") {
			got = append(got, scope.(string))
		}
		if strings.Join(got, " ") != test.scopes {
			t.Errorf("%s is for %v, want %s", test.name, got, test.scopes)
		}
	}
	settings := metadata(all.one(t, "Component", "onda-scoring-pubsub"))
	for name, want := range map[string]string{
		"publishingScopes":   "onda=scoring.requests,scoring.results,scoring.deadletter;shop=scoring.requests;mailer=scoring.requests",
		"subscriptionScopes": "onda=scoring.requests,scoring.deadletter;shop=scoring.results;mailer=scoring.results",
		"allowedTopics":      "scoring.requests,scoring.results,scoring.deadletter",
	} {
		if got := settings[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

// TestNamesMeetTheApps: what Onda is told to use is what there is.
func TestNamesMeetTheApps(t *testing.T) {
	t.Parallel()
	all := render(t, "events: {topic: in, resultsTopic: out, deadLetterTopic: bad}", profile(t, "events-eventhubs")...)
	_, container := all.server(t)
	variables := env(container)
	all.one(t, "Component", variables["ONDA_PUBSUB"])
	subscription := all.one(t, "Subscription", "onda-requests")
	if got := subscription.text("spec", "topic"); got != "in" || variables["ONDA_REQUESTS_TOPIC"] != got {
		t.Errorf("subscribed is %q, and Onda reads %q", got, variables["ONDA_REQUESTS_TOPIC"])
	}
	if got := subscription.text("spec", "deadLetterTopic"); got != "bad" || variables["ONDA_DEAD_LETTER_TOPIC"] != got {
		t.Errorf("the sidecar's dead letters go to %q, and Onda's to %q", got, variables["ONDA_DEAD_LETTER_TOPIC"])
	}
	if got := subscription.text("spec", "pubsubname"); got != variables["ONDA_PUBSUB"] {
		t.Errorf("subscribed at %q, and Onda publishes at %q", got, variables["ONDA_PUBSUB"])
	}
	if variables["ONDA_RESULTS_TOPIC"] != "out" {
		t.Errorf("results go to %q, want out", variables["ONDA_RESULTS_TOPIC"])
	}
	_, container = render(t, "", profile(t, "cpu")...).server(t)
	if got := env(container)["ONDA_STATE_STORE"]; got != "onda-statestore" {
		t.Errorf("the state store is %q, want onda-statestore", got)
	}
	deployment, _ := all.server(t)
	all.one(t, "Configuration", annotations(deployment)["dapr.io/config"])
}

func TestSecretsComeByReference(t *testing.T) {
	t.Parallel()
	vault := render(t, "", profile(t, "events-rabbitmq")...)
	address := vault.one(t, "Component", "onda-pubsub")
	if got := metadata(address)["connectionString"]; got != "rabbitmq-address/rabbitmq-address" {
		t.Errorf("connectionString is %q", got)
	}
	if got := address.text("auth", "secretStore"); got != "onda-keyvault" {
		t.Errorf("the secret comes from %q, want onda-keyvault", got)
	}
	if got := metadata(vault.one(t, "Component", "onda-keyvault"))["vaultName"]; got != "onda-vault" {
		t.Errorf("the vault is %q, want onda-vault", got)
	}
	redis := render(t, "", profile(t, "events-redis")...).one(t, "Component", "onda-statestore")
	if got := metadata(redis)["redisPassword"]; got != "onda-redis/password" || redis.text("auth", "secretStore") != "kubernetes" {
		t.Errorf("the password is %q from %q", got, redis.text("auth", "secretStore"))
	}
	entra := render(t, "{state: {kind: redis}, redis: {host: 'r:6380', entraID: true}}").one(t, "Component", "onda-statestore")
	if settings := metadata(entra); settings["useEntraID"] != "true" || settings["redisPassword"] != "" {
		t.Errorf("settings %v, want useEntraID and no password", settings)
	}
}

func TestCallersAreNamed(t *testing.T) {
	t.Parallel()
	control := object(asMap(render(t, "", profile(t, "cpu")...).one(t, "Configuration", "onda").at("spec", "accessControl")))
	if got := control.text("defaultAction"); got != "deny" {
		t.Errorf("defaultAction %q, want deny", got)
	}
	policies := control.list("policies")
	if len(policies) != 2 {
		t.Fatalf("%d policies, want 2", len(policies))
	}
	shop, admin := object(asMap(policies[0])), object(asMap(policies[1]))
	if shop.text("appId") != "shop" || shop.text("namespace") != "models" || shop.text("trustDomain") != "public" || shop.text("defaultAction") != "deny" {
		t.Errorf("shop's policy is %v", shop)
	}
	if admin.text("namespace") != "tools" {
		t.Errorf("the admin's namespace is %q, want tools", admin.text("namespace"))
	}
	if got := operations(shop); got["/registry/**"] || got["/events/v1/**"] || !got["/v1/**"] || !got["/v2/**"] || !got["/inference.*/*"] {
		t.Errorf("shop may call %v", got)
	}
	if got := operations(admin); !got["/registry/**"] || !got["/events/v1/**"] {
		t.Errorf("the admin may call %v", got)
	}
	// In Dapr 1.18 a rule for /v2 takes the place of one for /v2/**, verbs and all.
	for name := range operations(admin) {
		if _, both := operations(admin)[name+"/**"]; both {
			t.Errorf("%s has a rule beside %s/**", name, name)
		}
	}
	// With a verb, Dapr would let these over HTTP, and no gRPC at all.
	for _, operation := range shop.list("operations") {
		o := object(asMap(operation))
		if name := o.text("name"); strings.HasPrefix(name, "/inference") && o.at("httpVerb") != nil {
			t.Errorf("%s has verbs: it would not be gRPC", name)
		}
	}
}

func operations(policy object) map[string]bool {
	all := map[string]bool{}
	for _, operation := range policy.list("operations") {
		o := object(asMap(operation))
		all[o.text("name")] = o.text("action") == "allow"
	}
	return all
}

func TestConfigurationOfTheSidecar(t *testing.T) {
	t.Parallel()
	config := render(t, "", profile(t, "everything")...).one(t, "Configuration", "onda-scoring")
	for _, test := range []struct {
		path []any
		want any
	}{
		{[]any{"spec", "tracing", "otel", "endpointAddress"}, "otel-collector.monitoring:4317"},
		{[]any{"spec", "tracing", "samplingRate"}, "0.05"},
		{[]any{"spec", "metrics", "http", "increasedCardinality"}, false},
		{[]any{"spec", "secrets", "scopes", 0, "defaultAccess"}, "deny"},
		{[]any{"spec", "secrets", "scopes", 0, "allowedSecrets"}, nil},
		{[]any{"spec", "secrets", "scopes", 1, "storeName"}, "onda-scoring-keyvault"},
		{[]any{"spec", "secrets", "scopes", 1, "defaultAccess"}, "deny"},
		{[]any{"spec", "secrets", "scopes", 1, "allowedSecrets", 0}, "partner-key"},
	} {
		if got := config.at(test.path...); got != test.want {
			t.Errorf("%v is %v, want %v", test.path, got, test.want)
		}
	}
	config = render(t, "").one(t, "Configuration", "onda")
	if config.text("spec", "tracing", "samplingRate") != "0" || config.at("spec", "tracing", "otel") != nil {
		t.Errorf("without an endpoint tracing is %v", config.at("spec", "tracing"))
	}
	if found := render(t, "dapr: {config: own}").find("Configuration"); len(found) != 0 {
		t.Errorf("beside a Configuration of one's own there is %v", found.names())
	}
}

func TestCosmosHoldsTheState(t *testing.T) {
	t.Parallel()
	store := render(t, "", profile(t, "cpu")...).one(t, "Component", "onda-statestore")
	if got := store.text("spec", "type"); got != "state.azure.cosmosdb" {
		t.Fatalf("the state store is %q", got)
	}
	settings := metadata(store)
	for name, want := range map[string]string{"url": "https://onda.documents.azure.com:443/", "database": "onda", "collection": "state", "keyPrefix": "appid"} {
		if settings[name] != want {
			t.Errorf("%s is %q, want %q", name, settings[name], want)
		}
	}
}
