package catalog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/onda-serving/onda/app/scoring"
)

// ConflictError says that a model's state is not any more the one that a change was decided
// on. It wraps a [scoring.Error] with the code Conflict, whose text says what happened
// meanwhile.
type ConflictError struct {
	// Yours is the document that the change was decided on.
	Yours *Model
	// Current is the document that is there now.
	Current *Model
}

// Error gives the text for logs.
func (e *ConflictError) Error() string { return e.public().Error() }

// Unwrap gives the error for callers.
func (e *ConflictError) Unwrap() error { return e.public() }

func (e *ConflictError) public() *scoring.Error {
	return scoring.Errorf(scoring.Conflict, "model %q is at revision %d, and your change was made for revision %d: %s; look at the model again, and repeat the change if you still want it",
		e.Current.Name, e.Current.Revision, e.Yours.Revision, e.meanwhile())
}

// meanwhile tells the newest of the changes that came in between.
func (e *ConflictError) meanwhile() string {
	const most = 3
	var told []string
	for _, entry := range slices.Backward(e.Current.History) {
		if entry.Revision <= e.Yours.Revision || len(told) == most {
			break
		}
		told = append(told, entry.sentence())
	}
	if len(told) == 0 {
		return "it is another history"
	}
	slices.Reverse(told)
	if before := e.Current.Revision - e.Yours.Revision - int64(len(told)); before > 0 {
		told = slices.Insert(told, 0, plural(int(before), "older change"))
	}
	return strings.Join(told, ", ")
}

// sentence says who did what, and when.
func (e *Entry) sentence() string {
	of := ""
	if e.Version != 0 {
		of = fmt.Sprintf(" of version %d", e.Version)
	}
	return fmt.Sprintf("%s%s by %s on %s", e.Action, of, e.Actor, moment(e.At))
}
