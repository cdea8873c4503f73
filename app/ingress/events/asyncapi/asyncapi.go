// Package asyncapi describes the scoring events in an AsyncAPI 3.0 document
// (https://www.asyncapi.com/docs/reference/specification/v3.0.0): topics, attributes, data and
// examples. The document is made of the types and constants of the events door, and its answers
// are the door's own, so that neither can say what the code does not do.
package asyncapi

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"
)

//go:generate go run ./gen

// File is the document's name, beside this package's files.
const File = "asyncapi.yaml"

// The topics, as components/ and the defaults of Onda's settings have them.
const (
	// RequestsTopic is where requests come from.
	RequestsTopic = "scoring.requests"
	// ResultsTopic is where results go.
	ResultsTopic = "scoring.results"
	// DeadLetterTopic is where what no retry can mend goes.
	DeadLetterTopic = "scoring.deadletter"
)

const header = "# Made by `go run ./app/ingress/events/asyncapi/gen`: change the code there, not this file.\n"

// Document gives the document as YAML, the same each time.
func Document() ([]byte, error) {
	examples, err := makeExamples()
	if err != nil {
		return nil, fmt.Errorf("make the examples: %w", err)
	}
	out := bytes.NewBufferString(header)
	encoder := yaml.NewEncoder(out)
	encoder.SetIndent(2)
	if err := encoder.Encode(document(examples)); err != nil {
		return nil, fmt.Errorf("write the document: %w", err)
	}
	if err := encoder.Close(); err != nil {
		return nil, fmt.Errorf("write the document: %w", err)
	}
	return out.Bytes(), nil
}

func document(e *examples) *yaml.Node {
	return object(
		"asyncapi", "3.0.0",
		"info", object(
			"title", "Onda: scoring by events",
			"version", "1.0.0",
			"description", "Onda scores machine-learning models. It takes requests from a topic of any broker that Dapr has a pub/sub component for, and publishes what comes of them. "+
				"Events are CloudEvents 1.0 in structured JSON. Brokers deliver at least once: a request that comes again, with the same source and id, is answered by the same event again, byte for byte.",
			"license", object("name", "Apache-2.0", "url", "https://www.apache.org/licenses/LICENSE-2.0"),
		),
		"defaultContentType", "application/cloudevents+json",
		"channels", channels(),
		"operations", operations(),
		"components", object(
			"messages", messages(e),
			"schemas", schemas(),
		),
	)
}

func channels() *yaml.Node {
	return object(
		"requests", object(
			"address", RequestsTopic,
			"description", "Requests to score something. Order does not matter; requests are answered as they are done.",
			"messages", refs("messages", "request"),
		),
		"results", object(
			"address", ResultsTopic,
			"description", "One result for each request that was scored. A receiver that sees an id for the second time may pass over it.",
			"messages", refs("messages", "result"),
		),
		"deadletters", object(
			"address", DeadLetterTopic,
			"description", "What no retry can mend: an error event with the reason, or the request itself where the sidecar gave up on it, such as one whose expiration had passed.",
			"messages", refs("messages", "error", "request"),
		),
	)
}

func operations() *yaml.Node {
	return object(
		"score", operation("receive", "requests", "Score a request.", []string{"request"},
			"reply", object("channel", ref("channels", "results"), "messages", inChannel("results", "result"))),
		"answer", operation("send", "results", "Publish a result. It is published before the request is acknowledged.", []string{"result"}),
		"refuse", operation("send", "deadletters", "Publish why a request has no result.", []string{"error"}),
		"keep", operation("receive", "deadletters", "Keep a dead letter, so that an operator can look at it and put it back.", []string{"error", "request"}),
	)
}

func operation(action, channel, summary string, messages []string, more ...any) *yaml.Node {
	return object(append([]any{
		"action", action,
		"channel", ref("channels", channel),
		"summary", summary,
		"messages", inChannel(channel, messages...),
	}, more...)...)
}

func messages(e *examples) *yaml.Node {
	return object(
		"request", message("Request", "Asks for a scoring.", "$message.payload#/id", "request", e.requests),
		"result", message("Result", "Answers a request.", "$message.payload#/requestid", "result", e.results),
		"error", message("Error", "Says why a request has no result, with the request.", "$message.payload#/requestid", "error", e.errors),
	)
}

func message(title, summary, correlation, schema string, examples []example) *yaml.Node {
	shown := &yaml.Node{Kind: yaml.SequenceNode}
	for _, x := range examples {
		shown.Content = append(shown.Content, object("name", x.name, "summary", x.summary, "payload", x.payload))
	}
	return object(
		"title", title,
		"summary", summary,
		"contentType", "application/cloudevents+json",
		"correlationId", object("location", correlation),
		"payload", ref("components", "schemas", schema),
		"examples", shown,
	)
}
