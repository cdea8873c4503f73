package asyncapi

import (
	"reflect"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/onda-serving/onda/app/ingress/events"
	"github.com/onda-serving/onda/app/scoring"
	"github.com/onda-serving/onda/app/wire"
)

// The schemas are of JSON Schema draft 7, which AsyncAPI 3.0 reads where nothing else is said.

// daprType is what Dapr writes for a publisher that names no type of its own.
const daprType = "com.dapr.event.sent"

// maxAttribute bounds id and source, in bytes.
const maxAttribute = 1024

func schemas() *yaml.Node {
	return object(
		"request", requestSchema(),
		"result", resultSchema(),
		"error", errorSchema(),
		"predictRequest", predictRequest(),
		"inferRequest", inferRequest(),
		"predictResult", schemaOf(reflect.TypeFor[wire.PredictBody]()),
		"inferResult", inferResult(),
		"errorData", errorData(),
		"model", schemaOf(reflect.TypeFor[wire.Model]()),
		"classes", schemaOf(reflect.TypeFor[scoring.Classes]()),
		"matches", schemaOf(reflect.TypeFor[scoring.Matches]()),
		"tensor", tensor(),
		"traceparent", text("The W3C trace context. Send traceid with the same value: without it, Dapr puts a trace of its own in the place of this one.", "pattern", "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"),
	)
}

// text is a schema of a string.
func text(description string, more ...any) *yaml.Node {
	return object(append([]any{"type", "string", "description", description}, more...)...)
}

func constant(v, description string) *yaml.Node {
	return object("const", v, "description", description)
}

func requestSchema() *yaml.Node {
	return object(
		"type", "object",
		"description", "A CloudEvent that asks for a scoring. Attributes that are not named here are left alone.",
		"required", list("specversion", "id", "source", "type", "subject"),
		"properties", object(
			"specversion", text("Version of CloudEvents.", "pattern", `^1\.`),
			"id", text("Tells the request from all others of its source; it comes back as requestid.", "minLength", 1, "maxLength", maxAttribute),
			"source", text("Who asks; it comes back as requestsource. Source and id together say which request this is.", "minLength", 1, "maxLength", maxAttribute),
			"type", object("enum", list(events.RequestType, daprType), "description", "The second is what Dapr writes for a publisher that names no type."),
			"subject", text("The model: MODEL, MODEL/versions/N or MODEL/labels/L.", "pattern", `^[^/]+(/versions/[1-9][0-9]*|/labels/[^/]+)?$`),
			"datacontenttype", text("What data or data_base64 is: application/json (the default), text/plain, a picture, application/octet-stream or multipart/form-data."),
			"data", object("description", "The body of a :predict or an infer request, or a text where datacontenttype says so.",
				"anyOf", list(schemaRef("predictRequest"), schemaRef("inferRequest"), object("type", "string"))),
			"data_base64", text("The same in base64, such as a picture.", "contentEncoding", "base64", "minLength", 1),
			"dataref", text("Where the data is, in place of the data itself. The server's setting ONDA_EVENT_SOURCES says which places it reads.", "format", "uri", "minLength", 1),
			"datarefsha256", text("SHA-256 of what is there.", "pattern", "^[0-9a-fA-F]{64}$"),
			"expiration", text("The end of the request's time budget. It is not run afterwards.", "format", "date-time"),
			"partitionkey", text("Requests of one key go to one version while several share the traffic.", "maxLength", scoring.MaxKeyLen),
			"ondareplay", text("How often an operator has put the request back. Each time it is answered anew.", "pattern", "^[1-9][0-9]*$"),
			"traceparent", schemaRef("traceparent"),
			"tracestate", text("The W3C trace state."),
		),
		"oneOf", list(
			object("required", list("data")),
			object("required", list("data_base64")),
			object("required", list("dataref", "datarefsha256")),
		),
	)
}

// answerSchema is what results and errors share.
func answerSchema(kind, description string, required []any, data *yaml.Node, more ...any) *yaml.Node {
	properties := object(append([]any{
		"specversion", constant("1.0", "Version of CloudEvents."),
		"id", text("Follows from the request's source and id: a repeated answer has the same.", "minLength", 1),
		"source", constant("onda", "Who answers."),
		"type", constant(kind, "Kind and version of the event."),
		"subject", text("That of the request."),
		"time", text("When the request was answered for the first time.", "format", "date-time"),
		"datacontenttype", constant("application/json", "What data is."),
		"requestid", text("The id of the request."),
		"requestsource", text("The source of the request."),
		"ondareplay", text("That of the request, of one that an operator has put back: an earlier answer may be there.", "pattern", "^[1-9][0-9]*$"),
		"traceparent", schemaRef("traceparent"),
		"tracestate", text("The W3C trace state."),
		"data", data,
	}, more...)...)
	return object(
		"type", "object",
		"description", description,
		"required", list(append([]any{"specversion", "id", "source", "type", "time", "datacontenttype", "data"}, required...)...),
		"properties", properties,
	)
}

func resultSchema() *yaml.Node {
	return answerSchema(events.ResultType, "A CloudEvent that answers a request.",
		[]any{"subject", "requestid", "requestsource", "modelversion", "modeldigest"},
		object("oneOf", list(schemaRef("predictResult"), schemaRef("inferResult"))),
		"modelversion", text("The version that answered.", "pattern", "^[1-9][0-9]*$"),
		"modeldigest", text("The digest of that version's files.", "minLength", 1),
	)
}

func errorSchema() *yaml.Node {
	return answerSchema(events.ErrorType, "A CloudEvent that says why a request has no result. Of a request that cannot be read, nothing but the data is known.", nil, schemaRef("errorData"))
}

func errorData() *yaml.Node {
	codes := list()
	for _, code := range scoring.Codes() {
		codes.Content = append(codes.Content, value(code.String()))
	}
	return object(
		"type", "object",
		"required", list("code", "error"),
		"properties", object(
			"code", object("enum", codes, "description", "The kind of the failure."),
			"error", text("What was wrong, and what would be right.", "minLength", 1),
			"original", object("description", "The request as it came, where it is JSON."),
			"original_base64", text("The request as it came, where it is none.", "contentEncoding", "base64"),
		),
		"oneOf", list(object("required", list("original")), object("required", list("original_base64"))),
	)
}

func predictRequest() *yaml.Node {
	return object(
		"type", "object",
		"required", list("instances"),
		"properties", object(
			"instances", object("type", "array", "minItems", 1, "description", `Texts, as strings or {"text": ...}, or pictures, as {"b64": ...}.`),
			"parameters", object("type", "object", "description", "Parameters of the pipeline, such as top_k."),
			"id", text("An id of the caller's."),
		),
		"additionalProperties", false,
	)
}

func inferRequest() *yaml.Node {
	return object(
		"type", "object",
		"description", "The body of an infer request of the Open Inference Protocol, version 2.",
		"required", list("inputs"),
		"properties", object(
			"inputs", object("type", "array", "minItems", 1, "items", schemaRef("tensor")),
			"outputs", object("type", "array", "items", object("type", "object", "required", list("name"))),
			"parameters", object("type", "object"),
			"id", text("An id of the caller's."),
		),
	)
}

func inferResult() *yaml.Node {
	return object(
		"type", "object",
		"description", "The answer to an infer request of the Open Inference Protocol, version 2.",
		"required", list("model_name", "model_version", "id", "parameters", "outputs"),
		"properties", object(
			"model_name", object("type", "string"),
			"model_version", object("type", "string"),
			"id", object("type", "string"),
			"parameters", object("type", "object", "required", list("digest"), "properties", object("digest", object("type", "string"))),
			"outputs", object("type", "array", "items", schemaRef("tensor")),
		),
	)
}

func tensor() *yaml.Node {
	return object(
		"type", "object",
		"required", list("name", "datatype", "shape", "data"),
		"properties", object(
			"name", object("type", "string"),
			"datatype", text("BOOL, UINT8 to UINT64, INT8 to INT64, FP32, FP64 or BYTES."),
			"shape", object("type", "array", "items", object("type", "integer", "minimum", 0)),
			"data", object("type", "array", "description", "The values, flat or nested as the shape says."),
		),
	)
}

// schemaOf makes the schema of a Go type as encoding/json writes it. Every field is there
// always: none of the types that come here leaves one out.
func schemaOf(t reflect.Type) *yaml.Node {
	switch t.Kind() {
	case reflect.String:
		return object("type", "string")
	case reflect.Int:
		return object("type", "integer")
	case reflect.Float32:
		return object("type", "number")
	case reflect.Slice:
		return object("type", "array", "items", schemaOf(t.Elem()))
	case reflect.Interface:
		return object("oneOf", list(schemaRef("classes"), schemaRef("matches")))
	case reflect.Struct:
		return structSchema(t)
	default:
		panic("no schema for " + t.String()) //nolint:forbidigo // a programmer's mistake
	}
}

func structSchema(t reflect.Type) *yaml.Node {
	properties, required := object(), list()
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		schema := schemaOf(f.Type)
		if f.Type == reflect.TypeFor[wire.Model]() {
			schema = schemaRef("model")
		}
		properties.Content = append(properties.Content, value(name), schema)
		required.Content = append(required.Content, value(name))
	}
	return object("type", "object", "required", required, "properties", properties)
}
