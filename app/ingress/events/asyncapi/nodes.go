package asyncapi

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// object makes a mapping of keys and values that follow each other, in that order.
func object(pairs ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for i := 0; i < len(pairs); i += 2 {
		n.Content = append(n.Content, value(pairs[i]), value(pairs[i+1])) //nolint:gosec // they are pairs
	}
	return n
}

// list makes a sequence.
func list(items ...any) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	for _, item := range items {
		n.Content = append(n.Content, value(item))
	}
	return n
}

// value makes a node of a Go value; nodes are left as they are.
func value(v any) *yaml.Node {
	if n, ok := v.(*yaml.Node); ok {
		return n
	}
	n := &yaml.Node{}
	if err := n.Encode(v); err != nil {
		// Only what is written in this package comes here.
		panic(fmt.Sprintf("the document has a value that is no YAML: %v", err)) //nolint:forbidigo // a programmer's mistake
	}
	return n
}

// ref points to a part of the document.
func ref(path ...string) *yaml.Node {
	return object("$ref", "#/"+strings.Join(path, "/"))
}

// schemaRef points to a schema.
func schemaRef(name string) *yaml.Node { return ref("components", "schemas", name) }

// refs is an object whose keys are names of components, each with a pointer to it.
func refs(kind string, names ...string) *yaml.Node {
	n := object()
	for _, name := range names {
		n.Content = append(n.Content, value(name), ref("components", kind, name))
	}
	return n
}

// inChannel lists messages as an operation names them.
func inChannel(channel string, names ...string) *yaml.Node {
	n := list()
	for _, name := range names {
		n.Content = append(n.Content, ref("channels", channel, "messages", name))
	}
	return n
}
