"""Draws the pictures of the golden answers: flat shapes that the network names with confidence.

Drawn with numpy alone, so every machine draws the same pixels. They exercise what a decoder and
a resizer can get wrong:

- golden-1.png  256 x 256, crossword: the crop is 224 x 224, so nothing is resized
- golden-2.png  301 x 257, balloon: nothing is resized, and odd margins round up
- golden-3.png  240 x 320, traffic light: upright, and enlarged
- golden-4.png  300 x 300, analog clock: one grey channel, and reduced
"""

import numpy as np
from PIL import Image

BLACK, INK = (0, 0, 0), (20, 20, 20)


def canvas(width, height, top, bottom=None):
    """Returns uint8 [height, width, 3] with a vertical gradient between two colours."""
    share = np.linspace(0, 1, height)[:, None, None]
    colour = np.array(top) * (1 - share) + np.array(bottom or top) * share
    return np.repeat(colour, width, axis=1).astype(np.uint8)


def rectangle(picture, left, top, right, bottom, colour):
    """Fills a rectangle, right and bottom excluded."""
    picture[top:bottom, left:right] = colour


def disc(picture, x, y, radius, colour):
    """Fills a disc."""
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    picture[(columns - x) ** 2 + (rows - y) ** 2 <= radius**2] = colour


def line(picture, x0, y0, x1, y1, half_width, colour):
    """Draws a straight stroke with round ends."""
    rows, columns = np.mgrid[: picture.shape[0], : picture.shape[1]]
    dx, dy = x1 - x0, y1 - y0
    along = np.clip(((columns - x0) * dx + (rows - y0) * dy) / (dx * dx + dy * dy), 0, 1)
    distance = (columns - x0 - along * dx) ** 2 + (rows - y0 - along * dy) ** 2
    picture[distance <= half_width**2] = colour


def soften(picture):
    """Averages squares of 2 x 2 pixels, so that edges are smooth as in a photo.

    Hard edges overshoot in cubic resizing, and how far differs between resizers that round to
    8 bits and those that do not.
    """
    height, width = picture.shape[:2]
    squares = picture.reshape(height // 2, 2, width // 2, 2, -1)
    return np.round(squares.mean(axis=(1, 3))).astype(np.uint8)


def crossword():
    """A grid of 16 x 16 cells, some of them black."""
    picture = canvas(256, 256, (255, 255, 255))
    for row in range(16):
        for column in range(16):
            if (row * 7 + column * 5 + (row * column) % 11) % 5 == 0:
                rectangle(picture, column * 16, row * 16, column * 16 + 16, row * 16 + 16, BLACK)
    for edge in range(0, 257, 16):
        rectangle(picture, max(0, edge - 1), 0, edge + 1, 256, BLACK)
        rectangle(picture, 0, max(0, edge - 1), 256, edge + 1, BLACK)
    return picture


def balloon():
    """A striped hot-air balloon before a blue sky."""
    picture = canvas(301, 257, (90, 150, 220), (200, 220, 240))
    rows, columns = np.mgrid[:257, :301]
    across, down = (columns - 150) / 78, (rows - 105) / 84
    meridian = np.arcsin(np.clip(across / np.sqrt(np.maximum(1e-6, 1 - down**2)), -1, 1))
    stripe = (meridian / np.pi * 8 + 100).astype(int) % 3
    colours = np.array([(220, 50, 40), (245, 200, 40), (40, 90, 180)])[stripe]
    shade = 0.65 + 0.35 * np.clip(1 - ((columns - 125) ** 2 + (rows - 75) ** 2) / 150**2, 0, 1)
    inside = across**2 + down**2 <= 1
    picture[inside] = (colours * shade[..., None])[inside]
    line(picture, 125, 184, 138, 222, 1, (60, 40, 20))
    line(picture, 175, 184, 162, 222, 1, (60, 40, 20))
    rectangle(picture, 136, 220, 165, 242, (130, 85, 40))
    return picture


def traffic_light():
    """A traffic light that shows red, drawn at twice its size."""
    picture = canvas(480, 640, (150, 190, 235), (215, 225, 235))
    rectangle(picture, 226, 470, 254, 640, (70, 70, 75))
    rectangle(picture, 156, 80, 324, 480, (25, 25, 25))
    rectangle(picture, 168, 92, 312, 468, (45, 45, 45))
    for y, colour in ((156, (235, 40, 30)), (280, (70, 55, 10)), (404, (10, 60, 25))):
        disc(picture, 240, y, 54, (10, 10, 10))
        disc(picture, 240, y, 48, colour)
    disc(picture, 228, 142, 16, (255, 150, 140))
    return soften(picture)


def clock():
    """The face of a clock in one grey channel, drawn at twice its size: uint8 [300, 300]."""
    picture = canvas(600, 600, (180, 180, 180))
    disc(picture, 300, 300, 256, (45, 45, 45))
    disc(picture, 300, 300, 232, (250, 250, 250))
    for minute in range(60):
        x, y = np.sin(np.pi * minute / 30), -np.cos(np.pi * minute / 30)
        inner, half_width = (192, 6) if minute % 5 == 0 else (212, 2)
        line(picture, 300 + inner * x, 300 + inner * y, 300 + 220 * x, 300 + 220 * y,
             half_width, INK)
    line(picture, 300, 300, 190, 244, 10, INK)
    line(picture, 300, 300, 410, 160, 6, INK)
    disc(picture, 300, 300, 16, INK)
    return soften(picture)[..., 0]


def save(folder):
    """Writes golden-1.png .. golden-4.png and returns their paths."""
    paths = []
    for number, draw in enumerate((crossword, balloon, traffic_light, clock), start=1):
        path = folder / f"golden-{number}.png"
        Image.fromarray(draw()).save(path, optimize=True)
        paths.append(path)
    return paths
