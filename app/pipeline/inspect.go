package pipeline

import (
	"bytes"
	"encoding/binary"
)

// maxScans bounds the scans of a progressive JPEG. Encoders write about ten; each makes
// the decoder visit the whole picture, however few bytes it has, so that a small file
// with thousands of them would hold a processor for minutes.
const maxScans = 100

// Markers of JPEG (ITU-T T.81, table B.1).
const (
	markerRST0 = 0xd0
	markerSOI  = 0xd8
	markerEOI  = 0xd9
	markerSOS  = 0xda
	markerAPP1 = 0xe1
)

// inspectJPEG walks over the markers of a JPEG: it finds the Exif data and counts the
// scans. It stops where the file makes no sense; the decoder then says so.
func inspectJPEG(data []byte) inspection {
	found := inspection{orientation: 1}
	scans := 0
	for {
		marker, segment, rest := nextSegment(data)
		switch {
		case marker == 0 || marker == markerEOI:
			return found
		case marker == markerAPP1 && found.orientation == 1 && bytes.HasPrefix(segment, exifPrefix):
			found.orientation = exifOrientation(segment)
		case marker == markerSOS:
			if scans++; scans > maxScans {
				found.refusal = "is stored in an unreasonable number of scans: save it again"
				return found
			}
		}
		data = rest
	}
}

// nextSegment finds the next marker, its segment and what follows. Before a marker there
// may be coded data, in which 0xFF stands only before 0 or a restart marker. The marker
// is 0 where there is none.
func nextSegment(data []byte) (marker byte, segment, rest []byte) {
	for {
		i := bytes.IndexByte(data, 0xff)
		if i < 0 || i+1 >= len(data) {
			return 0, nil, nil
		}
		marker, data = data[i+1], data[i+1:]
		if marker == 0xff { // a fill byte: the marker is still to come
			continue
		}
		data = data[1:]
		switch {
		case marker == markerEOI:
			return marker, nil, nil
		case marker <= 0x01 || marker >= markerRST0 && marker <= markerSOI:
			continue // stands alone, without a segment
		case len(data) < 2:
			return 0, nil, nil
		}
		n := int(binary.BigEndian.Uint16(data))
		if n < 2 || n > len(data) {
			return 0, nil, nil
		}
		return marker, data[2:n], data[n:]
	}
}

// inspectPNG finds the Exif chunk of a PNG (W3C PNG, third edition, 11.3.4.5).
func inspectPNG(data []byte) inspection {
	const signature, overhead = 8, 12 // a chunk is length, type, content, checksum
	data = data[signature:]
	for len(data) >= overhead {
		n := uint64(binary.BigEndian.Uint32(data))
		if n+overhead > uint64(len(data)) {
			break
		}
		if string(data[4:8]) == "eXIf" {
			return inspection{orientation: exifOrientation(data[8 : 8+n])}
		}
		data = data[n+overhead:]
	}
	return inspection{orientation: 1}
}

// inspectWebP finds the Exif chunk of a WebP, and whether it is animated (RFC 9649, 2.7).
func inspectWebP(data []byte) inspection {
	const riffHeader, chunkHeader, animationFlag = 12, 8, 2
	found := inspection{orientation: 1}
	data = data[riffHeader:]
	for len(data) >= chunkHeader {
		n := uint64(binary.LittleEndian.Uint32(data[4:]))
		if n > uint64(len(data)-chunkHeader) {
			break
		}
		content := data[chunkHeader : chunkHeader+n]
		switch string(data[:4]) {
		case "VP8X":
			if n > 0 && content[0]&animationFlag != 0 {
				found.refusal = "is animated: send one of its frames"
			}
		case "EXIF":
			found.orientation = exifOrientation(content)
		}
		data = data[chunkHeader+n:]
		data = data[min(n%2, uint64(len(data))):] // chunks begin at even offsets
	}
	return found
}
