package jpeg

import "math"

// The inverse DCT of T.81, A.3.3, is made along one axis after the other, each scaled by
// the square root of 8, so that a DC coefficient is added as it is; a factor of 8 is left
// at the end. The odd coefficients go through the rotations of Loeffler, Ligtenberg and
// Moschytz (Practical fast 1-D DCT algorithms with 11 multiplications, ICASSP 1989). All
// numbers are whole, with fracBits after the point, as in libjpeg's accurate transform.
const (
	fracBits = 13 // of the constants
	keepBits = 2  // of precision that is kept between the axes

	firstShift = fracBits - keepBits
	firstHalf  = 1 << (firstShift - 1)
	lastShift  = fracBits + keepBits + 3
	// lastHalf rounds, and moves the level from around 0 to around 128.
	lastHalf = 1<<(lastShift-1) + 128<<lastShift
)

// lastOfFour is the zigzag index up to which all coefficients are among the 4*4 lowest.
const lastOfFour = 9

// Cosines of k*pi/16 times the square root of 2, and sums of them, in units of 1/2^13.
const (
	cos1 = 11363 // 1.387040
	cos2 = 10703 // 1.306563
	cos3 = 9633  // 1.175876
	cos5 = 6436  // 0.785695
	cos6 = 4433  // 0.541196
	cos7 = 2260  // 0.275899

	both17 = -7373  // cos7 - cos3, what coefficients 1 and 7 share
	both35 = -20995 // -cos1 - cos3
	both37 = -16069 // -cos3 - cos5
	both15 = -3196  // cos5 - cos3
	only1  = 12299  // cos1 + cos3 - cos5 - cos7
	only3  = 25172  // cos1 + cos3 + cos5 - cos7
	only5  = 16819  // cos1 + cos3 - cos5 + cos7
	only7  = 2446   // cos3 + cos5 - cos1 - cos7
)

// inverse8 makes the 8*8 samples of a block.
func inverse8(dst []byte, stride int, b *block) {
	var w [blockArea]int32
	for i := range BlockSize {
		s0, s1, s2, s3 := int(b[i]), int(b[8+i]), int(b[16+i]), int(b[24+i])
		s4, s5, s6, s7 := int(b[32+i]), int(b[40+i]), int(b[48+i]), int(b[56+i])
		if s1|s2|s3|s4|s5|s6|s7 == 0 {
			v := int32(s0 << keepBits)
			w[i], w[8+i], w[16+i], w[24+i] = v, v, v, v
			w[32+i], w[40+i], w[48+i], w[56+i] = v, v, v, v
			continue
		}
		e0, e1 := (s0+s4)<<fracBits+firstHalf, (s0-s4)<<fracBits+firstHalf
		e2, e3 := s2*cos6-s6*cos2, s2*cos2+s6*cos6
		a, b, c, d := e0+e3, e1+e2, e1-e2, e0-e3
		all := (s1 + s3 + s5 + s7) * cos3
		r17, r35, r37, r15 := (s1+s7)*both17, (s3+s5)*both35, (s3+s7)*both37+all, (s1+s5)*both15+all
		o0, o1, o2, o3 := s1*only1+r17+r15, s3*only3+r35+r37, s5*only5+r35+r15, s7*only7+r17+r37
		w[i], w[56+i] = int32((a+o0)>>firstShift), int32((a-o0)>>firstShift)
		w[8+i], w[48+i] = int32((b+o1)>>firstShift), int32((b-o1)>>firstShift)
		w[16+i], w[40+i] = int32((c+o2)>>firstShift), int32((c-o2)>>firstShift)
		w[24+i], w[32+i] = int32((d+o3)>>firstShift), int32((d-o3)>>firstShift)
	}
	for y := range BlockSize {
		s := w[8*y : 8*y+8 : 8*y+8]
		s0, s1, s2, s3 := int(s[0]), int(s[1]), int(s[2]), int(s[3])
		s4, s5, s6, s7 := int(s[4]), int(s[5]), int(s[6]), int(s[7])
		e0, e1 := (s0+s4)<<fracBits+lastHalf, (s0-s4)<<fracBits+lastHalf
		e2, e3 := s2*cos6-s6*cos2, s2*cos2+s6*cos6
		a, b, c, d := e0+e3, e1+e2, e1-e2, e0-e3
		all := (s1 + s3 + s5 + s7) * cos3
		r17, r35, r37, r15 := (s1+s7)*both17, (s3+s5)*both35, (s3+s7)*both37+all, (s1+s5)*both15+all
		o0, o1, o2, o3 := s1*only1+r17+r15, s3*only3+r35+r37, s5*only5+r35+r15, s7*only7+r17+r37
		row := dst[y*stride:][:8:8]
		row[0], row[7] = clamp((a+o0)>>lastShift), clamp((a-o0)>>lastShift)
		row[1], row[6] = clamp((b+o1)>>lastShift), clamp((b-o1)>>lastShift)
		row[2], row[5] = clamp((c+o2)>>lastShift), clamp((c-o2)>>lastShift)
		row[3], row[4] = clamp((d+o3)>>lastShift), clamp((d-o3)>>lastShift)
	}
}

// inverse8of4 makes the 8*8 samples of a block of which only the 4*4 lowest coefficients
// are not zero, as most are.
func inverse8of4(dst []byte, stride int, b *block) {
	var w [BlockSize * 4]int32
	for i := range 4 {
		s0, s1, s2, s3 := int(b[i])<<fracBits+firstHalf, int(b[8+i]), int(b[16+i]), int(b[24+i])
		e2, e3 := s2*cos6, s2*cos2
		a, b, c, d := s0+e3, s0+e2, s0-e2, s0-e3
		o0, o1, o2, o3 := s1*cos1+s3*cos3, s1*cos3-s3*cos7, s1*cos5-s3*cos1, s1*cos7-s3*cos5
		w[i], w[28+i] = int32((a+o0)>>firstShift), int32((a-o0)>>firstShift)
		w[4+i], w[24+i] = int32((b+o1)>>firstShift), int32((b-o1)>>firstShift)
		w[8+i], w[20+i] = int32((c+o2)>>firstShift), int32((c-o2)>>firstShift)
		w[12+i], w[16+i] = int32((d+o3)>>firstShift), int32((d-o3)>>firstShift)
	}
	for y := range BlockSize {
		s := w[4*y : 4*y+4 : 4*y+4]
		s0, s1, s2, s3 := int(s[0])<<fracBits+lastHalf, int(s[1]), int(s[2]), int(s[3])
		e2, e3 := s2*cos6, s2*cos2
		a, b, c, d := s0+e3, s0+e2, s0-e2, s0-e3
		o0, o1, o2, o3 := s1*cos1+s3*cos3, s1*cos3-s3*cos7, s1*cos5-s3*cos1, s1*cos7-s3*cos5
		row := dst[y*stride:][:8:8]
		row[0], row[7] = clamp((a+o0)>>lastShift), clamp((a-o0)>>lastShift)
		row[1], row[6] = clamp((b+o1)>>lastShift), clamp((b-o1)>>lastShift)
		row[2], row[5] = clamp((c+o2)>>lastShift), clamp((c-o2)>>lastShift)
		row[3], row[4] = clamp((d+o3)>>lastShift), clamp((d-o3)>>lastShift)
	}
}

// clamp makes a byte of a sample. Few are out of range, so that a branch costs nothing.
func clamp(v int) byte {
	if uint(v) > math.MaxUint8 {
		return byte(^(v >> 63))
	}
	return byte(v)
}
