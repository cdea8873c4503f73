package jpeg

// A block at a smaller scale is the n-point inverse DCT of its n*n lowest coefficients:
// the same waves as in the whole block, read at n places. With the scaling of the whole
// transform the cosines are those of multiples of pi/2n.

// inverse4 makes 4*4 samples of a block. Its cosines are those of even multiples of pi/16.
func inverse4(dst []byte, stride int, b *block) {
	var w [16]int
	for i := range 4 {
		s0, s1, s2, s3 := int(b[i]), int(b[8+i]), int(b[16+i]), int(b[24+i])
		e0, e1 := (s0+s2)<<fracBits+firstHalf, (s0-s2)<<fracBits+firstHalf
		o0, o1 := s1*cos2+s3*cos6, s1*cos6-s3*cos2
		w[i], w[12+i] = (e0+o0)>>firstShift, (e0-o0)>>firstShift
		w[4+i], w[8+i] = (e1+o1)>>firstShift, (e1-o1)>>firstShift
	}
	for y := range 4 {
		s := w[4*y : 4*y+4 : 4*y+4]
		e0, e1 := (s[0]+s[2])<<fracBits+lastHalf, (s[0]-s[2])<<fracBits+lastHalf
		o0, o1 := s[1]*cos2+s[3]*cos6, s[1]*cos6-s[3]*cos2
		row := dst[y*stride:][:4:4]
		row[0], row[3] = clamp((e0+o0)>>lastShift), clamp((e0-o0)>>lastShift)
		row[1], row[2] = clamp((e1+o1)>>lastShift), clamp((e1-o1)>>lastShift)
	}
}

// inverse2 makes 2*2 samples of a block. Its cosines, of pi/4 times the square root of 2,
// are 1.
func inverse2(dst []byte, stride int, b *block) {
	const half = 4 + 128<<3
	a, c := int(b[0]+b[8])+half, int(b[0]-b[8])+half
	e, f := int(b[1]+b[9]), int(b[1]-b[9])
	upper, lower := dst[:2:2], dst[stride:][:2:2]
	upper[0], upper[1] = clamp((a+e)>>3), clamp((a-e)>>3)
	lower[0], lower[1] = clamp((c+f)>>3), clamp((c-f)>>3)
}

// flat is the value of all samples of a block with a DC coefficient only, and the only
// sample of one at the smallest scale.
func flat(dc int32) byte { return clamp((int(dc) + 4 + 128<<3) >> 3) }

// fill sets n*n samples.
func fill(dst []byte, stride, n int, v byte) {
	for y := range n {
		row := dst[y*stride:][:n:n]
		for x := range row {
			row[x] = v
		}
	}
}
