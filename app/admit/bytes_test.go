package admit_test

import (
	"testing"

	"github.com/onda-serving/onda/app/admit"
)

func TestBytesStayBookedUntilTheyAreFreed(t *testing.T) {
	t.Parallel()
	b := admit.NewBytes(10)
	if !b.Take(10) {
		t.Error("10 of 10 bytes do not fit")
	}
	if b.Take(1) {
		t.Error("11 of 10 bytes fit")
	}
	if got := b.Used(); got != 11 {
		t.Errorf("%d bytes are booked, want 11: what does not fit is in memory too", got)
	}
	b.Free(1)
	b.Free(10)
	if !b.Take(10) || b.Used() != 10 {
		t.Errorf("%d bytes are booked after all was freed, want 10", b.Used())
	}
}
