// Package inferencepb is the generated code of the Open Inference Protocol's gRPC form:
// see inference.proto. Nothing here is written by hand but this comment.
package inferencepb

//go:generate ../../../deploy/local/proto/generate.sh
