package config

import (
	"maps"
	"strings"
	"testing"
)

func TestPairs(t *testing.T) {
	t.Parallel()
	got := Config{RequestsMetadata: " queueType: quorum, maxLen:5,,url:http://a:1 "}.SubscriptionSettings()
	if want := map[string]string{"queueType": "quorum", "maxLen": "5", "url": "http://a:1"}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	for _, text := range []string{"quorum", ":x", "a:b,c"} {
		if says := checkPairs(text); !strings.Contains(says, "want name:value") {
			t.Errorf("%q: %q", text, says)
		}
	}
}
