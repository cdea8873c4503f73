package pool

import "testing"

func TestClassIsTheSmallestThatFits(t *testing.T) {
	t.Parallel()
	for c := range classes {
		size := sizeOf(c)
		if got := classOf(size); got != c {
			t.Fatalf("%d bytes, the size of class %d: got class %d", size, c, got)
		}
		if got := classOf(size + 1); got != c+1 && c+1 < classes {
			t.Fatalf("%d bytes: got class %d, want %d", size+1, got, c+1)
		}
		if size%alignment != 0 {
			t.Errorf("class %d has %d bytes: what begins aligned must end so", c, size)
		}
	}
	if sizeOf(0) != smallest || sizeOf(classes-1) != largest {
		t.Errorf("classes go from %d to %d bytes", sizeOf(0), sizeOf(classes-1))
	}
	for _, n := range []int{-1, 0, smallest - 1, largest + 1} {
		if got := classOf(n); got != -1 {
			t.Errorf("%d bytes: got class %d, want none", n, got)
		}
	}
}

// TestRoomThatIsNotAlignedIsCut takes rooms that begin anywhere, as the runtime's may.
func TestRoomThatIsNotAlignedIsCut(t *testing.T) {
	t.Parallel()
	room := make([]byte, 1000)
	for from := range 2 * alignment {
		b := within(room[from:from+smallest+alignment-1], smallest)
		if len(b) != smallest || cap(b) != smallest || !aligned(b) {
			t.Errorf("room at %d: got %d bytes of %d at %x", from, len(b), cap(b), address(b))
		}
	}
}
