"""Makes the files of this folder. Needs Python 3.11+ and Pillow 13; run it in this folder.

pictures/  one small picture for each kind of file that the package reads. The scene is
           the same in all of them: smooth colours, different in each corner.
expected/  what PIL makes of them: the centre square of floor(0.875 * the shorter side),
           resized to 16 x 16 with the bilinear filter, RGB, 768 bytes.
text.json  texts with what Python makes of them. Made with Unicode 14: newer characters
           do not occur, so that the table holds for newer versions too.
"""
import json
import pathlib
import random
import struct
import unicodedata
import zlib

from PIL import Image, ImageOps

here = pathlib.Path(".")
pictures, expected = here / "pictures", here / "expected"
W, H = 61, 46


def scene(w=W, h=H):
    im = Image.new("RGB", (w, h))
    im.putdata([(40 + 180 * x // w, 220 - 170 * y // h, 60 + 70 * x // w + 90 * y // h) for y in range(h) for x in range(w)])
    return im


def with_alpha():
    im = scene().convert("RGBA")
    im.putalpha(Image.linear_gradient("L").resize((W, H)))
    return im


def painted(im):
    """What Onda sees: upright, and transparent parts on white."""
    im = ImageOps.exif_transpose(im)
    if im.mode.startswith("I;16"):
        return im.point(lambda v: v / 256).convert("L").convert("RGB")
    if "A" in im.mode or "transparency" in im.info:
        im = im.convert("RGBA")
        im = Image.alpha_composite(Image.new("RGBA", im.size, "white"), im)
    return im.convert("RGB")


def crop(im):
    side = max(1, int(0.875 * min(im.size)))
    left, top = (im.width - side + 1) // 2, (im.height - side + 1) // 2
    return im.crop((left, top, left + side, top + side)).resize((16, 16), Image.BILINEAR)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(depth, colour, rows, extra=b""):
    """PNG kinds that PIL cannot write: 16 bits a channel."""
    n = len(rows[0]) // W  # bytes a pixel; filter 1 stores the difference to the pixel before
    raw = b"".join(b"\1" + r[:n] + bytes((b - a) % 256 for a, b in zip(r, r[n:])) for r in rows)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", W, H, depth, colour, 0, 0, 0))
            + extra + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))


def rows16(im):
    px, bands = im.load(), len(im.getbands())
    return [b"".join(struct.pack(f">{bands}H", *[v * 256 + 7 for v in (px[x, y] if bands > 1 else (px[x, y],))])
                     for x in range(W)) for y in range(H)]


def replace_adobe(jpeg, transform):
    at = jpeg.index(b"\xff\xee")
    return jpeg[:at + 15] + bytes([transform]) + jpeg[at + 16:]


def save():
    def keep(name, im, **how):
        im.save(pictures / name, **how)

    for name, sampling in (("444", "4:4:4"), ("422", "4:2:2"), ("420", "4:2:0")):
        keep(f"jpeg-{name}.jpg", scene(), quality=90, subsampling=sampling)
    keep("jpeg-progressive.jpg", scene(), quality=90, progressive=True)
    keep("jpeg-restart.jpg", scene(), quality=90, restart_marker_rows=1)
    keep("jpeg-grey.jpg", scene().convert("L"), quality=90)
    keep("jpeg-rgb.jpg", scene(), quality=90, keep_rgb=True)
    keep("jpeg-cmyk.jpg", scene().convert("CMYK"), quality=90)
    keep("png-rgb.png", scene(), optimize=True)
    keep("png-grey.png", scene().convert("L"), optimize=True)
    keep("png-grey-alpha.png", with_alpha().convert("LA"), optimize=True)
    keep("png-rgba.png", with_alpha(), optimize=True)
    keep("png-1bit.png", scene().convert("1"), optimize=True)
    keep("png-palette.png", scene().quantize(16), optimize=True)
    keep("png-palette-transparent.png", scene().quantize(16), optimize=True, transparency=3)
    keep("png-key-colour.png", scene().quantize(8).convert("RGB"), transparency=scene().quantize(8).convert("RGB").getpixel((30, 20)))
    (pictures / "png-grey16.png").write_bytes(png(16, 0, rows16(scene().convert("L"))))
    (pictures / "png-rgb16.png").write_bytes(png(16, 2, rows16(scene())))
    (pictures / "png-rgba16.png").write_bytes(png(16, 6, rows16(with_alpha())))
    exif = Image.Exif()
    exif[0x0112] = 6
    keep("png-exif6.png", scene(), exif=exif)
    keep("webp-lossy.webp", scene(), quality=90)
    keep("webp-lossless.webp", scene(), lossless=True)
    keep("webp-lossy-alpha.webp", with_alpha(), quality=90)
    keep("webp-lossless-alpha.webp", with_alpha(), lossless=True)
    exif[0x0112] = 8
    keep("webp-exif8.webp", scene(), quality=90, exif=exif)
    keep("gif-plain.gif", scene().quantize(32))
    keep("gif-transparent.gif", scene().quantize(32), transparency=5)
    keep("gif-frames.gif", scene().quantize(32), save_all=True, append_images=[Image.new("P", (W, H))] * 2, duration=50)
    keep("webp-animated.webp", scene(), save_all=True, append_images=[Image.new("RGB", (W, H))], quality=80)

    # YCCK: the same coefficients as CMYK, declared as YCbCr plus black.
    (pictures / "jpeg-ycck.jpg").write_bytes(replace_adobe((pictures / "jpeg-cmyk.jpg").read_bytes(), 2))

    # A frame that is smaller than the picture: the logical screen of a GIF made larger,
    # the frame moved to (9, 5).
    gif = bytearray((pictures / "gif-plain.gif").read_bytes())
    frame = gif.index(b"\x2c", 13 + 3 * 32)
    gif[6:10] = struct.pack("<HH", W + 20, H + 10)
    gif[frame + 1:frame + 5] = struct.pack("<HH", 9, 5)
    (pictures / "gif-offset.gif").write_bytes(gif)

    for path in sorted(pictures.iterdir()):
        im = Image.open(path)
        im.load()
        if path.name == "gif-offset.gif":  # PIL paints the uncovered part in the first palette colour
            canvas = Image.new("RGB", (W + 20, H + 10), "white")
            canvas.paste(Image.open(pictures / "gif-plain.gif").convert("RGB"), (9, 5))
            im = canvas
        elif path.name.startswith("png-") and "16" in path.name:  # PIL reads some of these in 8 bits only
            im = {"png-grey16.png": scene().convert("L"), "png-rgb16.png": scene(), "png-rgba16.png": with_alpha()}[path.name]
        elif path.name == "gif-frames.gif":
            im = Image.open(pictures / "gif-plain.gif")
        (expected / (path.name + ".rgb")).write_bytes(crop(painted(im)).tobytes())
        assert path.stat().st_size < 4096, path


def texts():
    rng = random.Random(7)
    assigned = [chr(c) for c in range(1, 0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
    usual = "ΣσςΑΟİIıßẞǅﬁ①Ⅳ½²ſK. -'’:\u00ad\u0307\u0301\u0345aAZ09\t\n\u00a0\u1680\u2003\u2028\u3000\x1c\x1f\x85\u200b\ufeff가ㄱガカ゛ﷺ"
    cases = ["ΟΔΥΣΣΕΥΣ ΟΔΥΣΣΕΥΣ.", "ΑΣ'Α ΑΣ' Σ ΣΣ", "İSTANBUL ISPARTA", "\x1c a \x1f b \x85", "ＦＵＬＬ　ｗｉｄｔｈ", "ﷺ", "e\u0301 \u0345\u0301"]
    for _ in range(3000):
        cases.append("".join(rng.choice(usual) if rng.random() < 0.5 else rng.choice(assigned) for _ in range(rng.randint(1, 6))))
    # The one known difference: a capital sigma right after a letter that is both cased and
    # ignorable for case (modifier letters, U+0345). Unicode 3.13 makes it final, as Onda
    # does; Python skips such letters first and then finds no cased one.
    def known(s):
        return any(b == "Σ" and (unicodedata.category(a) == "Lm" or a == "\u0345") for a, b in zip(s, s[1:]))

    rows = [[s, unicodedata.normalize("NFKC", s), s.lower(), " ".join(s.split())] for s in cases if not known(s)]
    # null stands for "unchanged".
    lines = [json.dumps([r[0]] + [None if v == r[0] else v for v in r[1:]], ensure_ascii=False) for r in rows]
    (here / "text.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")


for folder in (pictures, expected):
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
save()
texts()
