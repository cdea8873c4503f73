// Package wire turns bytes into the vocabulary of package scoring and back: the V1
// `:predict` bodies (JSON, a picture, a text, a form) and the JSON of the Open Inference
// Protocol v2. It knows no transport: the doors hand it content types and bodies.
//
// Errors are [scoring.Error] values that name the place in the body.
package wire
