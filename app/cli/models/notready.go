package models

import (
	"fmt"

	"github.com/onda-serving/onda/app/catalog"
	"github.com/onda-serving/onda/app/cli/client"
)

// notReady says of each version that does not answer on this replica why, in lines such as
// "version 3 is not ready: model.onnx is cut off". Versions that wait until somebody asks are
// ready, and retired ones are meant not to be.
func notReady(m *client.Model) (lines []string) {
	if m.Serving == nil {
		return nil
	}
	served := servedOf(m)
	for _, number := range versionsOf(m) {
		v, known := served[number]
		reason := reasonOf(v)
		if !known {
			reason = "this replica does not know it yet"
		}
		if reason != "" && m.Standing[number] != catalog.Retired {
			lines = append(lines, fmt.Sprintf("version %d is not ready: %s", number, reason))
		}
	}
	return lines
}

// reasonOf says why a version that the replica knows does not answer; "" for one that does.
func reasonOf(v client.ServedVersion) string {
	switch {
	case v.State == "available":
		return ""
	case v.State == "unloaded" && v.Reason == v.State:
		return "it was unloaded by hand"
	case v.State == "loading" && v.Reason == "":
		return "it is being loaded"
	default:
		return v.Reason
	}
}

// servedOf gives what the replica does with each version.
func servedOf(m *client.Model) map[int64]client.ServedVersion {
	served := map[int64]client.ServedVersion{}
	if m.Serving != nil {
		for _, v := range m.Serving.Versions {
			served[v.Version] = v
		}
	}
	return served
}

// showNotReady writes such lines below a table. They are lines and no column, because a
// terminal would cut what matters most.
func (s *session) showNotReady(lines []string) {
	if len(lines) > 0 {
		s.print("")
	}
	for _, text := range lines {
		s.print("%s", s.paint(client.Clean(text), red))
	}
}
