package pipeline

import "image"

// centreSquare is the square that is kept of a picture with the stored width and height,
// in stored coordinates. The square is chosen on the upright picture, with the rounding of
// TensorFlow's EfficientNet-Lite: its side is cut down to whole pixels, and where its
// distance to the edges is not a whole number, it is nearer to the right and the bottom.
func centreSquare(width, height int, crop float64, o orientation) image.Rectangle {
	side := max(1, int(crop*float64(min(width, height))))
	turn := o.turn()
	left, top := (width-side+1)/2, (height-side+1)/2
	// On a mirrored axis the upright picture's left is the stored picture's right.
	if turn.flipX {
		left = width - side - left
	}
	if turn.flipY {
		top = height - side - top
	}
	return image.Rect(left, top, left+side, top+side)
}
