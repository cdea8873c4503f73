package pipeline

import "sync"

// keptLength is the longest buffer that is kept for the next picture, in elements. It is
// enough for models that take pictures of 500 pixels; without a bound, one large picture
// would hold memory for ever.
const keptLength = 1 << 20

// workspace is memory for resizing a photo. It is used by one picture at a time and then
// by the next.
type workspace struct {
	between [3][]byte  // values, resized along columns
	strips  [3][]eight // of the components
	rgb     [3][]byte
}

var workspaces = sync.Pool{New: func() any { return new(workspace) }}

// grow gives n elements, those of buffer if it is long enough, with whatever they hold.
func grow[T any](buffer []T, n int) []T {
	if cap(buffer) < n {
		return make([]T, n)
	}
	return buffer[:n]
}

// release gives w back, without what is too large to keep.
func (w *workspace) release() {
	for i := range w.between {
		if cap(w.between[i]) > keptLength || cap(w.strips[i]) > keptLength/32 || cap(w.rgb[i]) > keptLength {
			*w = workspace{}
		}
	}
	workspaces.Put(w)
}
