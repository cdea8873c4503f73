package chart_test

import (
	"slices"
	"strings"
	"testing"
)

func TestNothingGetsThroughByDefault(t *testing.T) {
	t.Parallel()
	all := render(t, "", profile(t, "everything")...)
	deny := all.one(t, "NetworkPolicy", "onda-scoring-default-deny")
	if deny.at("spec", "ingress") != nil || deny.at("spec", "egress") != nil {
		t.Errorf("the default lets through %v", deny["spec"])
	}
	if got := deny.list("spec", "policyTypes"); len(got) != 2 {
		t.Errorf("the default is about %v, want both ways", got)
	}
	// It holds for every pod of the release, whatever its component.
	for _, kind := range []string{"Deployment", "DaemonSet"} {
		for _, workload := range all.find(kind) {
			for key, value := range asMap(deny.at("spec", "podSelector", "matchLabels")) {
				if got := workload.at("spec", "template", "metadata", "labels", key); got != value {
					t.Errorf("%s has %s=%v, and the policy is for %v", workload.name(), key, got, value)
				}
			}
		}
	}
	if found := render(t, "networkPolicy: {enabled: false}").find("NetworkPolicy"); len(found) != 0 {
		t.Errorf("without policies there is %v", found.names())
	}
}

// doors lists the ports that a policy opens in a direction, with the namespaces that may use them.
func doors(policy object, direction string) map[int][]string {
	open := map[int][]string{}
	peers := map[string]string{"ingress": "from", "egress": "to"}[direction]
	for _, each := range policy.list("spec", direction) {
		rule := object(asMap(each))
		var who []string
		for _, peer := range rule.list(peers) {
			p := object(asMap(peer))
			switch {
			case p.at("ipBlock") != nil:
				who = append(who, p.text("ipBlock", "cidr"))
			case p.at("namespaceSelector") != nil:
				who = append(who, p.text("namespaceSelector", "matchLabels", "kubernetes.io/metadata.name"))
			default:
				who = append(who, "own")
			}
		}
		for _, port := range rule.list("ports") {
			number, _ := at(port, "port").(int)
			for _, each := range who {
				if !slices.Contains(open[number], each) { // as over UDP and TCP
					open[number] = append(open[number], each)
				}
			}
		}
	}
	return open
}

func TestWhoGetsInAndOut(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		profile, policy, direction string
		want                       map[int]string
	}{
		{"cpu", "onda", "ingress", map[int]string{50002: "own", 9464: "monitoring", 9090: "monitoring"}},
		{"cpu", "onda", "egress", map[int]string{53: "kube-system", 50001: "dapr-system", 6500: "dapr-system", 443: "0.0.0.0/0"}},
		{"everything", "onda-scoring", "ingress", map[int]string{50002: "own tools shop", 9464: "monitoring", 9090: "monitoring", 8080: "own"}},
		{"everything", "onda-scoring-edge", "ingress", map[int]string{3500: "aks-istio-ingress", 9090: "monitoring"}},
		{"everything", "onda-scoring-edge", "egress", map[int]string{53: "kube-system", 50001: "dapr-system", 6500: "dapr-system", 50002: "own", 443: "0.0.0.0/0"}},
		{"ingress-token", "onda", "ingress", map[int]string{50002: "own", 9464: "monitoring", 9090: "monitoring", 8080: "aks-istio-ingress"}},
		{"events-servicebus", "onda", "egress", map[int]string{53: "kube-system", 50001: "dapr-system", 6500: "dapr-system", 443: "0.0.0.0/0", 5671: "0.0.0.0/0"}},
		{"events-redis", "onda", "egress", map[int]string{53: "kube-system", 50001: "dapr-system", 6500: "dapr-system", 443: "0.0.0.0/0", 6380: "0.0.0.0/0"}},
		{"events-kafka", "onda", "egress", map[int]string{53: "kube-system", 50001: "dapr-system", 6500: "dapr-system", 443: "0.0.0.0/0", 9093: "0.0.0.0/0"}},
	} {
		t.Run(test.profile+" "+test.policy+" "+test.direction, func(t *testing.T) {
			t.Parallel()
			got := doors(render(t, "", profile(t, test.profile)...).one(t, "NetworkPolicy", test.policy), test.direction)
			for port, who := range test.want {
				if strings.Join(got[port], " ") != who {
					t.Errorf("port %d is open to %v, want %s", port, got[port], who)
				}
			}
			for port, who := range got {
				if _, there := test.want[port]; !there {
					t.Errorf("port %d is open to %v, want nobody", port, who)
				}
			}
		})
	}
}

// TestTheNodesMetadataServiceStaysClosed: from there a pod could take the node's identity.
func TestTheNodesMetadataServiceStaysClosed(t *testing.T) {
	t.Parallel()
	policy := render(t, "").one(t, "NetworkPolicy", "onda")
	for _, each := range policy.list("spec", "egress") {
		for _, peer := range object(asMap(each)).list("to") {
			if at(peer, "ipBlock", "cidr") == "0.0.0.0/0" && at(peer, "ipBlock", "except", 0) != "169.254.169.254/32" {
				t.Errorf("%v reaches the metadata service", peer)
			}
		}
	}
}

func TestGatewayRedirectsAndEndsTLS(t *testing.T) {
	t.Parallel()
	all := render(t, "", profile(t, "ingress-gateway")...)
	gateway := all.one(t, "Gateway", "onda")
	if gateway.text("spec", "listeners", 0, "protocol") != "HTTPS" || gateway.text("spec", "listeners", 0, "tls", "certificateRefs", 0, "name") != "onda-tls" {
		t.Errorf("listener %v, want HTTPS with onda-tls", gateway.at("spec", "listeners", 0))
	}
	redirect := all.one(t, "HTTPRoute", "onda-redirect")
	if redirect.text("spec", "parentRefs", 0, "sectionName") != "http" || redirect.text("spec", "rules", 0, "filters", 0, "requestRedirect", "scheme") != "https" || redirect.at("spec", "rules", 0, "backendRefs") != nil {
		t.Errorf("what is not encrypted goes to %v", redirect["spec"])
	}
	route := all.one(t, "HTTPRoute", "onda")
	if route.text("spec", "parentRefs", 0, "sectionName") != "https" {
		t.Errorf("the route is at %v", route.at("spec", "parentRefs"))
	}
	rules := route.list("spec", "rules")
	if len(rules) != 2 {
		t.Fatalf("%d rules, want one for each path", len(rules))
	}
	for i, prefix := range []string{"/v1", "/v2"} {
		rule := object(asMap(rules[i]))
		if rule.text("matches", 0, "path", "value") != prefix {
			t.Errorf("rule %d is for %v", i, rule.at("matches"))
		}
		if got := rule.text("filters", 1, "urlRewrite", "path", "replacePrefixMatch"); got != "/v1.0/invoke/onda/method"+prefix {
			t.Errorf("%s becomes %q", prefix, got)
		}
		if got := rule.text("backendRefs", 0, "name"); got != "onda-edge" {
			t.Errorf("%s goes to %q, want onda-edge", prefix, got)
		}
		if !slices.Contains(rule.list("filters", 0, "requestHeaderModifier", "remove"), any("dapr-app-id")) {
			t.Errorf("%s lets dapr-app-id through: the edge would call whom it names", prefix)
		}
	}
}

func TestNginxRedirectsAndEndsTLS(t *testing.T) {
	t.Parallel()
	ingress := render(t, "", profile(t, "ingress-nginx")...).one(t, "Ingress", "onda")
	for name, want := range map[string]string{
		"ssl-redirect": "true", "force-ssl-redirect": "true", "proxy-body-size": "32m", "use-regex": "true", "rewrite-target": "/v1.0/invoke/onda/method/$1$2",
	} {
		if got := ingress.text("metadata", "annotations", "nginx.ingress.kubernetes.io/"+name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if ingress.text("spec", "tls", 0, "secretName") != "onda-tls" || ingress.text("spec", "rules", 0, "http", "paths", 0, "backend", "service", "name") != "onda-edge" {
		t.Errorf("ingress %v", ingress["spec"])
	}
	// The API server refuses a path that does not begin with a slash.
	if got := ingress.text("spec", "rules", 0, "http", "paths", 0, "path"); got != "/(v1)(/.*|$)" {
		t.Errorf("the first path is %q", got)
	}
	forward := render(t, "", profile(t, "ingress-forward")...).one(t, "Ingress", "onda")
	if got := forward.text("metadata", "annotations", "nginx.ingress.kubernetes.io/auth-url"); got != "http://oauth2-proxy.auth.svc.cluster.local/oauth2/auth" {
		t.Errorf("auth-url is %q", got)
	}
	if got := forward.text("spec", "rules", 0, "http", "paths", 0, "backend", "service", "name"); got != "onda" {
		t.Errorf("what was checked goes to %q, want onda", got)
	}
}

// TestTheEdgeChecksTokens: without the middleware in its pipeline, the edge would be an open door.
func TestTheEdgeChecksTokens(t *testing.T) {
	t.Parallel()
	all := render(t, "", profile(t, "ingress-gateway")...)
	edge := all.one(t, "Deployment", "onda-edge")
	notes := annotations(edge)
	config := all.one(t, "Configuration", notes["dapr.io/config"])
	handler := config.text("spec", "httpPipeline", "handlers", 0, "name")
	bearer := all.one(t, "Component", handler)
	if bearer.text("spec", "type") != "middleware.http.bearer" || config.text("spec", "httpPipeline", "handlers", 0, "type") != "middleware.http.bearer" {
		t.Errorf("the edge's middleware is %v", bearer["spec"])
	}
	if settings := metadata(bearer); settings["audience"] != "api://onda" || !strings.HasPrefix(settings["issuer"], "https://login.microsoftonline.com/") {
		t.Errorf("tokens are checked for %v", settings)
	}
	if got := bearer.text("scopes", 0); got != notes["dapr.io/app-id"] {
		t.Errorf("the middleware is for %q, and the edge is %q: its sidecar would not start", got, notes["dapr.io/app-id"])
	}
	allowed := config.list("spec", "api", "allowed")
	if len(allowed) != 1 || at(allowed[0], "name") != "invoke" {
		t.Errorf("the edge offers %v, want invocation alone", allowed)
	}
	// Onda must know the edge, and let it score and nothing else.
	policies := all.one(t, "Configuration", "onda").list("spec", "accessControl", "policies")
	if len(policies) != 1 || at(policies[0], "appId") != "onda-edge" {
		t.Fatalf("policies %v, want the edge's", policies)
	}
	if got := operations(asMap(policies[0])); got["/registry/**"] || !got["/v1/**"] {
		t.Errorf("the edge may call %v", got)
	}
}
