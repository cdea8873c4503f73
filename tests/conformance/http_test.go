package conformance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// webClient speaks the Open Inference Protocol over HTTP.
type webClient struct {
	url    string
	client *http.Client
}

// jsonTensor is a tensor in the protocol's JSON.
type jsonTensor struct {
	Name       string          `json:"name"`
	Shape      []int64         `json:"shape"`
	Datatype   string          `json:"datatype"`
	Parameters map[string]any  `json:"parameters,omitempty"`
	Data       json.RawMessage `json:"data,omitempty"`
}

// headerLength is the header of the binary tensor extension: the length of the JSON in
// front of the tensors.
const headerLength = "Inference-Header-Content-Length"

// json sends and wants JSON alone.
func (c *webClient) json(ctx context.Context, model string, inputs []tensor) ([]tensor, error) {
	return c.sendJSON(ctx, model, inputs, nil)
}

// mixed sends JSON alone and wants the outputs behind the JSON.
func (c *webClient) mixed(ctx context.Context, model string, inputs []tensor) ([]tensor, error) {
	return c.sendJSON(ctx, model, inputs, map[string]any{"binary_data_output": true})
}

func (c *webClient) sendJSON(ctx context.Context, model string, inputs []tensor, parameters map[string]any) ([]tensor, error) {
	var all []jsonTensor
	for _, in := range inputs {
		data, err := encodeJSON(in)
		if err != nil {
			return nil, err
		}
		all = append(all, jsonTensor{Name: in.name, Shape: in.shape, Datatype: in.datatype, Data: data})
	}
	head, err := json.Marshal(map[string]any{"inputs": all, "parameters": parameters})
	if err != nil {
		return nil, err
	}
	return c.infer(ctx, model, head, nil)
}

// binary sends and wants the tensors behind the JSON.
func (c *webClient) binary(ctx context.Context, model string, inputs []tensor) ([]tensor, error) {
	var all []jsonTensor
	tail := []byte{}
	for _, in := range inputs {
		all = append(all, jsonTensor{Name: in.name, Shape: in.shape, Datatype: in.datatype, Parameters: map[string]any{"binary_data_size": len(in.data)}})
		tail = append(tail, in.data...)
	}
	head, err := json.Marshal(map[string]any{"inputs": all, "parameters": map[string]any{"binary_data_output": true}})
	if err != nil {
		return nil, err
	}
	return c.infer(ctx, model, head, tail)
}

// infer sends a request; tail is nil for one that is JSON alone.
func (c *webClient) infer(ctx context.Context, model string, head, tail []byte) ([]tensor, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/v2/models/"+model+"/infer", bytes.NewReader(append(head, tail...)))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if tail != nil {
		request.Header.Set("Content-Type", "application/octet-stream")
		request.Header.Set(headerLength, strconv.Itoa(len(head)))
	}
	response, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, readRefusal(response.StatusCode, body)
	}
	return readAnswer(response.Header.Get(headerLength), body)
}

// readRefusal reads the body that every failure has.
func readRefusal(status int, body []byte) error {
	var failure struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(body, &failure); err != nil || failure.Error == "" {
		return fmt.Errorf("status %d with the body %.100q: want an error text in JSON", status, body)
	}
	return &refusal{code: strconv.Itoa(status), fault: status == http.StatusInternalServerError, text: failure.Error}
}

// readAnswer reads the outputs. length is empty where the answer is JSON alone.
func readAnswer(length string, body []byte) ([]tensor, error) {
	head, tail := body, []byte{}
	if length != "" {
		n, err := strconv.Atoi(length)
		if err != nil || n < 0 || n > len(body) {
			return nil, fmt.Errorf("%s is %q, and the body has %d bytes", headerLength, length, len(body))
		}
		head, tail = body[:n], body[n:]
	}
	var answer struct {
		Outputs []jsonTensor `json:"outputs"`
	}
	if err := json.Unmarshal(head, &answer); err != nil {
		return nil, fmt.Errorf("the answer is no JSON: %w", err)
	}
	outputs := make([]tensor, 0, len(answer.Outputs))
	for _, out := range answer.Outputs {
		t := tensor{name: out.Name, datatype: out.Datatype, shape: out.Shape}
		if size, binary := out.Parameters["binary_data_size"].(float64); binary {
			if int(size) > len(tail) {
				return nil, fmt.Errorf("output %q has %v bytes, and %d are left", out.Name, size, len(tail))
			}
			t.data, tail = tail[:int(size)], tail[int(size):]
		} else if err := decodeJSON(&t, out.Data); err != nil {
			return nil, fmt.Errorf("output %q: %w", out.Name, err)
		}
		outputs = append(outputs, t)
	}
	if len(tail) > 0 {
		return nil, fmt.Errorf("%d bytes are left behind the outputs", len(tail))
	}
	return outputs, nil
}
