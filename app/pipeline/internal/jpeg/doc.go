// Package jpeg decodes photographs for a reader that makes them smaller at once: it gives
// the colour planes as they are stored, only the blocks that are needed, and those at a
// half, a quarter or an eighth of their resolution where that is enough.
//
// It reads what cameras, browsers and image libraries write: baseline and progressive
// JPEG (ITU-T T.81 | ISO/IEC 10918-1, processes with Huffman coding and 8-bit samples)
// with one component or three, with chroma at full, half or a quarter of the resolution.
// Everything else, and every file that deviates from the standard in any way, it declines
// with an [UnreadError]: whoever calls it then asks the decoder of the standard library,
// whose verdict counts. So this package has to be strict and not tolerant, and a file that
// it accepts is one that image/jpeg accepts.
//
// Where the time goes, and what is done about it:
//
//   - Entropy decoding (T.81, F.2.2) cannot be left out, since codes have no index. The
//     bytes stuffed behind 0xFF are taken out beforehand, so that the bit buffer takes in
//     seven bytes at once without looking at them; one table gives the code, the run, the
//     value and the number of bits of most coefficients.
//   - The inverse DCT is made for blocks of the [Window] only. The blocks are sparse, so
//     there are short forms for a lone DC coefficient and for the lowest ones.
//   - A block at scale n is made by an n-point inverse DCT of its n*n lowest coefficients,
//     which is the best approximation of the block with that many samples.
package jpeg
