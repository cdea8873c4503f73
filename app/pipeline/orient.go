package pipeline

import (
	"bytes"
	"encoding/binary"
)

// orientation is the value of the Exif tag 0x0112, 1 to 8: how a picture must be turned
// to stand upright. Any other value, 0 included, means 1: leave it as it is.
type orientation uint8

// turn is what an orientation asks for: first mirror the stored picture along an axis,
// then swap the axes.
type turn struct{ flipX, flipY, swap bool }

// turns are the eight of Exif 2.32, 4.6.4, in the words of "turn".
var turns = [9]turn{
	2: {flipX: true},
	3: {flipX: true, flipY: true},
	4: {flipY: true},
	5: {swap: true},
	6: {flipY: true, swap: true},
	7: {flipX: true, flipY: true, swap: true},
	8: {flipX: true, swap: true},
}

func (o orientation) turn() turn {
	if int(o) >= len(turns) {
		return turn{}
	}
	return turns[o]
}

// walk says how to read a stored square of size*size pixels so that it comes out upright:
// the index of its first pixel, and the steps to the right and down.
func (o orientation) walk(size int) (first, right, down int) {
	t := o.turn()
	right, down = 1, size
	if t.flipX {
		first, right = size-1, -1
	}
	if t.flipY {
		first, down = first+(size-1)*size, -size
	}
	if t.swap {
		right, down = down, right
	}
	return first, right, down
}

// exifPrefix opens the Exif data of JPEG, and of WebP files by some writers.
var exifPrefix = []byte("Exif\x00\x00")

// exifOrientation reads the orientation from Exif data: a TIFF header and a list of tags
// (TIFF 6.0, section 2). It is 1 where there is none or the data make no sense: a picture
// is not refused for its metadata.
func exifOrientation(data []byte) orientation {
	const orientationTag, short, headerLen, entryLen = 0x0112, 3, 8, 12
	data = bytes.TrimPrefix(data, exifPrefix)
	if len(data) < headerLen {
		return 1
	}
	var order binary.ByteOrder
	switch string(data[:4]) {
	case "II*\x00":
		order = binary.LittleEndian
	case "MM\x00*":
		order = binary.BigEndian
	default:
		return 1
	}
	at := uint64(order.Uint32(data[4:]))
	if at+2 > uint64(len(data)) {
		return 1
	}
	count := order.Uint16(data[at:])
	entries := data[at+2:]
	for ; count > 0 && len(entries) >= entryLen; count, entries = count-1, entries[entryLen:] {
		if order.Uint16(entries) != orientationTag {
			continue
		}
		value := order.Uint16(entries[8:])
		if order.Uint16(entries[2:]) != short || value < 1 || value > 8 {
			return 1
		}
		return orientation(value)
	}
	return 1
}
