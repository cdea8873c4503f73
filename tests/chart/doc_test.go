// Package chart_test holds the Helm chart deploy/chart to what it promises: it renders every profile and looks at the objects,
// tries values that must be refused, and mutates values at random.
//
// It runs the helm and kubeconform that deploy/local/setup.sh chart builds, and fails without them.
package chart_test
