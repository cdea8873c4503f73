// Package wire turns bytes into the vocabulary of package scoring and back: the V1
// `:predict` bodies (JSON, a picture, a text, a form), and the Open Inference Protocol v2
// as JSON, with its binary tensor extension and with the bodies of Triton's extensions. It
// knows no transport: the doors hand it content types, bodies and the value of a header.
//
// Decoders walk a body once and do not copy what they need not: tensors and instances
// refer to the body. Encoders write the same bytes for the same answer, keys in one order.
//
// Errors are [scoring.Error] values that name the place in the body.
package wire
