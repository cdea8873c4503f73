package config

import (
	"fmt"
	"strings"
)

// SubscriptionSettings are those of ONDA_REQUESTS_METADATA, by name.
func (c Config) SubscriptionSettings() map[string]string {
	settings, _ := pairs(c.RequestsMetadata) // it was checked
	return settings
}

// pairs reads name:value,name:value.
func pairs(text string) (map[string]string, error) {
	all := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, fmt.Errorf("%q: want name:value", pair)
		}
		all[name] = strings.TrimSpace(value)
	}
	return all, nil
}

func checkPairs(text string) string {
	if _, err := pairs(text); err != nil {
		return "=" + err.Error() + ", such as queueType:quorum, with commas between"
	}
	return ""
}
