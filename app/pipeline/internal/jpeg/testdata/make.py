"""Makes the files of this folder: one picture, small but with texture, in several forms.

Needs Python 3.11+ and Pillow 13; run it in this folder.
"""
import math
import random

from PIL import Image

W, H = 117, 83  # neither divides by an MCU
random.seed(7)


def pixel(x, y):
    wave = 60 * math.sin(x * x / 150) * math.cos(y / 5)
    noise = random.randrange(-25, 25) if (x // 16 + y // 16) % 3 == 0 else 0
    return tuple(max(0, min(255, int(v + wave + noise))) for v in (2 * x, 255 - 2 * y, 90 + x / 2 + y / 2))


im = Image.new("RGB", (W, H))
im.putdata([pixel(x, y) for y in range(H) for x in range(W)])
for name, options in {
    "baseline-420": {"subsampling": 2},
    "baseline-422-restart": {"subsampling": 1, "restart_marker_blocks": 3},
    "baseline-444-fine": {"subsampling": 0, "quality": 97, "optimize": True},
    "progressive-420": {"subsampling": 2, "progressive": True},
    "progressive-420-restart": {"subsampling": 2, "progressive": True, "restart_marker_blocks": 5},
    "progressive-444-restart": {"subsampling": 0, "progressive": True, "restart_marker_rows": 1},
    "progressive-444-fine": {"subsampling": 0, "progressive": True, "quality": 97},
}.items():
    im.save(name + ".jpg", **{"quality": 80} | options)
im.convert("L").save("progressive-grey.jpg", quality=60, progressive=True)
