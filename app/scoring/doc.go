// Package scoring is the vocabulary of Onda: what a caller asks ([PredictRequest],
// [InferRequest]), what it gets ([PredictResponse], [InferResponse]), which model is
// meant ([ModelRef]), which one answered ([ModelID]) and why something failed ([Error]).
//
// Every door (HTTP, gRPC, events) turns bytes into these types and these types into
// bytes; everything below the doors speaks nothing else. The package therefore imports
// nothing of ours, and no protocol library.
package scoring
