"""The other side of the comparison: what a user of Pillow and numpy writes for this model.

Reads commands from standard input, one JSON object a line, and answers each with a line of
JSON on standard output. Everything runs in one thread: Pillow decodes and resizes so.

  {"do": "versions"}                                what is compared with
  {"do": "encode", "photo": path, "to": path, ...}  makes a JPEG of a photo
  {"do": "load", "jpeg": path}                      takes a file into memory
  {"do": "time"}                                    milliseconds of one preparation
  {"do": "tensor", "to": path}                      writes the tensor, float32
"""
import io
import json
import sys
import time

import numpy
import PIL
from PIL import Image, features

SIZE, CROP = 224, 0.875


def prepare(data):
    """JPEG to tensor, as image-classification takes it: values 0..255, [1, 3, 224, 224].

    Cutting out the square first is the fastest order: only what is kept is resized.
    """
    image = Image.open(io.BytesIO(data)).convert("RGB")
    width, height = image.size
    side = max(1, int(CROP * min(width, height)))
    left, top = (width - side + 1) // 2, (height - side + 1) // 2
    square = image.crop((left, top, left + side, top + side)).resize((SIZE, SIZE), Image.BICUBIC)
    pixels = numpy.asarray(square, dtype=numpy.float32)
    return numpy.ascontiguousarray(pixels.transpose(2, 0, 1))[None]


def cover(photo, width, height):
    """The photo at the given size, cut to its shape from the centre."""
    scale = min(photo.width / width, photo.height / height)
    across, down = scale * width, scale * height
    left, top = (photo.width - across) / 2, (photo.height - down) / 2
    return photo.resize((width, height), Image.LANCZOS, box=(left, top, left + across, top + down))


def tile(photo, width, height):
    """The photo side by side in its own size: as much detail as a sharp large photo has."""
    result = Image.new("RGB", (width, height))
    for y in range(0, height, photo.height):
        for x in range(0, width, photo.width):
            result.paste(photo, (x, y))
    return result


def encode(photo, to, width, height, quality, chroma, progressive, tiled):
    fit = tile if tiled else cover
    image = fit(Image.open(photo).convert("RGB"), width, height)
    subsampling = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}[chroma]
    image.save(to, "JPEG", quality=quality, subsampling=subsampling, progressive=progressive)
    return {}


def main():
    data = b""
    for line in sys.stdin:
        command = json.loads(line)
        do = command.pop("do")
        answer = {}
        if do == "versions":
            turbo = features.version_feature("libjpeg_turbo")
            answer = {"pillow": PIL.__version__, "libjpeg_turbo": turbo, "numpy": numpy.__version__}
        elif do == "encode":
            answer = encode(**command)
        elif do == "load":
            with open(command["jpeg"], "rb") as file:
                data = file.read()
            prepare(data)  # the first time pays for memory
        elif do == "time":
            begin = time.perf_counter()
            prepare(data)
            answer = {"ms": 1000 * (time.perf_counter() - begin)}
        elif do == "tensor":
            prepare(data).tofile(command["to"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
