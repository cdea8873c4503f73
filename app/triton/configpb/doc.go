// Package configpb is the generated code of Triton's model configuration: see
// model_config.proto. Nothing here is written by hand but this comment.
package configpb

//go:generate ../../../deploy/local/proto/generate.sh
