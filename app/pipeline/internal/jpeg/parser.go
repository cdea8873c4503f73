package jpeg

import "bytes"

// Markers (T.81, table B.1).
const (
	markerSOF0  = 0xc0 // baseline
	markerSOF1  = 0xc1 // extended sequential, Huffman
	markerSOF2  = 0xc2 // progressive, Huffman
	markerDHT   = 0xc4
	markerRST0  = 0xd0
	markerRST7  = 0xd7
	markerSOI   = 0xd8
	markerEOI   = 0xd9
	markerSOS   = 0xda
	markerDQT   = 0xdb
	markerDRI   = 0xdd
	markerAPP0  = 0xe0
	markerAPP14 = 0xee
	markerAPP15 = 0xef
	markerCOM   = 0xfe
)

// parser goes over the markers of a file (T.81, B.1.1).
type parser struct {
	data []byte
	at   int
}

// next gives the next marker and its segment, without the length. EOI has none.
func (p *parser) next() (marker byte, segment []byte, err error) {
	d := p.data[p.at:]
	if len(d) < 2 || d[0] != 0xff {
		return 0, nil, UnreadError("no marker")
	}
	if d[1] == markerEOI {
		p.at += 2
		return markerEOI, nil, nil
	}
	if len(d) < 4 || d[1] == 0 || d[1] == 0xff || d[1] >= markerRST0 && d[1] <= markerSOI {
		return 0, nil, UnreadError("unusual marker")
	}
	n := int(d[2])<<8 | int(d[3])
	if n < 2 || 2+n > len(d) {
		return 0, nil, UnreadError("length of a segment")
	}
	p.at += 2 + n
	return d[1], d[4 : 2+n], nil
}

// padding is how many bytes follow the coded data in the buffer of entropy: more than a
// block can take, 64 codes of 16 bits with 16 more bits each, and what is read ahead.
const padding = 512

// entropy takes the coded data of a scan over into buf, without the zero that is stuffed
// behind each 0xFF (T.81, B.1.1.5). The data may be divided by restart markers, which
// must count from 0 to 7 over and over (B.2.1): ends says where in the result each part
// ends. After the last part come zeros, as many as padding says.
func (p *parser) entropy(buf []byte, ends []int, parts int) ([]byte, []int, error) {
	buf, ends = buf[:0], ends[:0]
	for {
		d := p.data[p.at:]
		n := 0
		for {
			i := bytes.IndexByte(d[n:], 0xff)
			if i < 0 || n+i+1 >= len(d) {
				return buf, ends, UnreadError("coded data end too early")
			}
			n += i
			if d[n+1] != 0 {
				buf = append(buf, d[n-i:n]...)
				break
			}
			buf = append(buf, d[n-i:n+1]...)
			n += 2
		}
		p.at += n
		ends = append(ends, len(buf))
		marker := d[n+1]
		if marker < markerRST0 || marker > markerRST7 {
			break
		}
		if len(ends) == parts || int(marker-markerRST0) != (len(ends)-1)%8 {
			return buf, ends, UnreadError("unexpected restart marker")
		}
		p.at += 2
	}
	if len(ends) != parts {
		return buf, ends, UnreadError("missing restart marker")
	}
	return append(buf, make([]byte, padding)...), ends, nil
}
