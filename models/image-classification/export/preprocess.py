"""The picture preprocessing that the published EfficientNet-Lite0 weights expect.

This is the reference for the server's own `image` pipeline:

1. Decode; greyscale is repeated over three channels, transparency is dropped, EXIF orientation is
   applied.
2. Crop a centred square with a side of floor(crop * min(width, height)) pixels. Its left and top
   edges lie at (width - side + 1) // 2 and (height - side + 1) // 2: a half pixel rounds up.
3. Resize to size x size by separable cubic convolution (a = -0.5) whose kernel is widened by the
   reduction factor when reducing (antialiasing), over the crop alone: edges clamp, pixels outside
   the crop are never read. This is Pillow's BICUBIC: horizontal pass first, each pass rounded to
   8 bits and clamped to 0..255.
4. Lay the channels out as planes: float32 [3, size, size], RGB, 0..255. The network's
   normalisation, (x - 127) / 128, is inside the ONNX graph.

Steps 2 and 3 follow the evaluation code of TensorFlow's EfficientNet-Lite (crop padding of 32
pixels at 224, hence 224 / (224 + 32) = 0.875), but for the antialiasing, which TensorFlow's
resize of that time lacked and which large photos need.
"""

import numpy as np
from PIL import Image, ImageOps

SIZE = 224
CROP = 0.875


def centre_square(width, height, crop=CROP):
    """Returns the box (left, top, right, bottom) of the centred square, in pixels."""
    side = max(1, int(crop * min(width, height)))
    left, top = (width - side + 1) // 2, (height - side + 1) // 2
    return left, top, left + side, top + side


def preprocess(picture, size=SIZE, crop=CROP):
    """Turns a PIL image into float32 [3, size, size], RGB planes of 0..255."""
    picture = ImageOps.exif_transpose(picture).convert("RGB")
    picture = picture.crop(centre_square(*picture.size, crop))
    picture = picture.resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(picture, dtype=np.float32).transpose(2, 0, 1)


def preprocess_files(paths):
    """Reads picture files into one batch: float32 [len(paths), 3, SIZE, SIZE]."""
    batch = []
    for path in paths:
        with Image.open(path) as picture:
            batch.append(preprocess(picture))
    return np.ascontiguousarray(np.stack(batch))
