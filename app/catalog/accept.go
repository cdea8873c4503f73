package catalog

import "slices"

// Accept names what a change may do although it looks like a mistake: some of the Accept
// constants.
type Accept []string

// What a change may do although it looks like a mistake.
const (
	// AcceptSignature lets a version in that breaks what callers of the one before rely on.
	AcceptSignature = "signature"
	// AcceptRolledBack lets a label move to a version that was rolled back.
	AcceptRolledBack = "rolled-back"
	// AcceptDivergence lets a version in whose answers differ from those of the one before.
	AcceptDivergence = "divergence"
	// AcceptSlower lets a version in that is slower than the one before.
	AcceptSlower = "slower"
)

// Has says whether what is among a.
func (a Accept) Has(what string) bool { return slices.Contains(a, what) }
