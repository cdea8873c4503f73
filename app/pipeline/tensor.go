package pipeline

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/onda-serving/onda/app/scoring"
)

// tensorWriter writes pictures into a tensor. A channel has 256 values only, so the
// arithmetic of mean and scale is done once, in a table, and in 64 bits.
type tensorWriter struct {
	layout   string
	datatype scoring.Datatype
	order    [3]int         // which of red, green, blue is the tensor's channel
	table    [3][256]uint32 // the bits of each value, by the tensor's channel
}

// newTensorWriter makes the table. The error says that a value does not fit the datatype.
func newTensorWriter(spec ImageSpec, datatype scoring.Datatype) (tensorWriter, error) {
	w := tensorWriter{layout: spec.Layout, datatype: datatype, order: [3]int{0, 1, 2}}
	if spec.Colour == "bgr" {
		w.order = [3]int{2, 1, 0}
	}
	for c := range w.table {
		for v := range w.table[c] {
			value := float32((float64(v) - spec.Mean[c]) * spec.Scale[c])
			w.table[c][v] = math.Float32bits(value)
			stored := value
			if datatype == scoring.FP16 {
				w.table[c][v] = uint32(scoring.ToFloat16(value))
				stored = scoring.Float16(scoring.ToFloat16(value))
			}
			if !finite(float64(stored)) {
				return w, fmt.Errorf("pipeline.image.scale[%d]: (%d - mean) * scale does not fit %s", c, v, datatype)
			}
		}
	}
	return w, nil
}

// bytes is the length of one picture in the tensor.
func (w *tensorWriter) bytes(size int) int { return 3 * size * size * w.datatype.Size() }

// write puts one picture into dst, turned upright. The planes of rgb have size*size bytes.
func (w *tensorWriter) write(dst []byte, rgb [3][]byte, o orientation, size int) {
	first, right, down := o.walk(size)
	element := w.datatype.Size()
	step, next := element, size*size*element // to the next pixel, to the next channel
	if w.layout == "nhwc" {
		step, next = 3*element, element
	}
	for c := range w.table {
		plane, table := rgb[w.order[c]], &w.table[c]
		if right == 1 && step == 4 { // the usual case
			writeRows(dst[c*next:], plane, table, first, down, size)
			continue
		}
		at := c * next
		for y := range size {
			from := first + y*down
			for range size {
				bits := table[plane[from]]
				if element == 2 {
					binary.LittleEndian.PutUint16(dst[at:], uint16(bits))
				} else {
					binary.LittleEndian.PutUint32(dst[at:], bits)
				}
				from += right
				at += step
			}
		}
	}
}

// writeRows writes FP32 of one channel, row by row, where neither is turned sideways.
func writeRows(dst, plane []byte, table *[256]uint32, first, down, size int) {
	for y := range size {
		row := plane[first+y*down:][:size]
		to := dst[4*y*size:][:4*size]
		for _, v := range row {
			binary.LittleEndian.PutUint32(to, table[v])
			to = to[4:]
		}
	}
}
