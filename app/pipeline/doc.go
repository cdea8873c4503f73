// Package pipeline turns what a user sends, pictures and texts, into the input tensors of
// a model, and the model's output tensors into predictions.
//
// A [Spec] comes from the model's manifest. [New] checks it against the model's own
// signature and label files, so that a manifest that does not fit is refused when the
// model is loaded and not when the first request arrives. The [Pipeline] it gives is
// immutable and safe for concurrent use: all state of a request lives on its stack.
//
// # Pictures
//
// JPEG, PNG, WebP and GIF (of which the first frame counts) are told apart by their first
// bytes, never by what a caller declares. A picture goes through these steps:
//
//  1. Its size is read from its header and held against [Limits.MaxPixels], before
//     anything of that size is allocated.
//  2. It is decoded to 8 bits a channel. Greyscale becomes RGB with three equal channels,
//     16-bit channels keep their high byte, CMYK is converted without a colour profile.
//     What is transparent shows white: that is how people see such a picture on a page,
//     whereas dropping the alpha channel (as PIL's convert("RGB") does) brings to light
//     whatever an editor left in the invisible pixels.
//  3. A square of crop*min(width, height) pixels, rounded down, is cut from the centre of
//     the upright picture; where the margins are odd, the left and upper one is the larger
//     by a pixel. That is the rounding of TensorFlow's EfficientNet-Lite.
//  4. The square is resized to the size the model takes, with the antialiased bilinear or
//     bicubic filter of PIL; on RGB sources the result equals PIL's bit for bit. Of a JPEG
//     only the blocks of the square are made, and those of a large one at a smaller scale
//     (package internal/jpeg); its tensor differs from PIL's by a third of a step of 255
//     on average, half a step at most for photos, most of it from PIL's own rounding.
//  5. The Exif orientation of JPEG, PNG and WebP is applied.
//  6. Each channel becomes (value-mean)*scale, in the layout and datatype of the input.
//
// Colour profiles are ignored, as they were when the usual ImageNet models were trained.
//
// # Texts
//
// A text goes through the normalisations of the manifest, which match Python's
// unicodedata.normalize("NFKC", s), s.lower() and " ".join(s.split()), because that is
// how training scripts spell them.
package pipeline
