// Package ondatest starts real programs for black-box tests: it builds Onda, runs it on
// ports of its own with the settings that a test gives and no others, and ends it with
// the test.
package ondatest
