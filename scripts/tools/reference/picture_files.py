"""Pictures in every format and mode that class folders hold, and what Pillow makes of them: RGB, turned as the file says.

Run: pip install numpy pillow==13.0.0 safetensors; python scripts/tools/reference/picture_files.py
Writes tests/fixtures/pictures/: the files, and expected.safetensors with [height, width, 3] bytes by file name.
"""

import io
import pathlib
import shutil
import struct

import numpy as np
from PIL import Image, ImageCms, ImageOps
from safetensors.numpy import save_file

FOLDER = pathlib.Path(__file__).parents[3] / "tests" / "fixtures" / "pictures"
HEIGHT, WIDTH = 10, 13


def pixels():
    """A smooth picture without symmetry, with a red corner."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = np.stack([20 + 15 * x, 230 - 17 * y, 40 + 9 * x + 8 * y], -1)
    planes[:3, :4] = [250, 20, 30]
    return planes.clip(0, 255).astype("uint8")


def swapped_profile():
    """sRGB's profile with red and blue swapped: whoever follows it swaps them, and Pillow's convert does not."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"tXYZ").replace(b"bXYZ", b"rXYZ").replace(b"tXYZ", b"bXYZ")


def plain():
    """The picture in the modes and formats that Pillow writes."""
    p = Image.fromarray(pixels())
    grey = p.convert("L")
    alpha = Image.fromarray((np.mgrid[0:HEIGHT, 0:WIDTH][1] * 20).astype("uint8"))
    rgba, la = p.copy(), grey.copy()
    rgba.putalpha(alpha)
    la.putalpha(alpha)
    few = p.quantize(24)
    sixteen = Image.fromarray(np.asarray(grey).astype("uint16") * 257 + 3)
    profile = swapped_profile()
    cmyk = p.convert("CMYK")
    black = np.asarray(cmyk).copy()
    black[..., 3] = np.mgrid[0:HEIGHT, 0:WIDTH][0] * 20
    cmyk = Image.fromarray(black, "CMYK")
    yield "rgb.png", p, {}
    yield "rgba.png", rgba, {}
    yield "grey.png", grey, {}
    yield "grey-alpha.png", la, {}
    yield "bilevel.png", p.convert("1"), {}
    yield "palette.png", few, {}
    yield "palette-transparent.png", few, {"transparency": 3}
    yield "palette-alphas.png", few, {"transparency": bytes(range(24))}
    yield "rgb-transparent.png", p, {"transparency": (250, 20, 30)}
    yield "profile.png", p, {"icc_profile": profile}
    yield "grey16.png", sixteen, {}
    yield "rgb.jpg", p, {"quality": 95}
    yield "rgb-444.jpeg", p, {"quality": 95, "subsampling": 0}
    yield "progressive.jpg", p, {"quality": 95, "progressive": True}
    yield "grey.jpg", grey, {"quality": 95}
    yield "cmyk.jpg", cmyk, {"quality": 95}
    yield "profile.jpg", p, {"quality": 95, "icc_profile": profile}
    yield "rgb.bmp", p, {}
    yield "rgba.bmp", rgba, {}
    yield "grey.bmp", grey, {}
    yield "palette.bmp", few, {}
    yield "bilevel.bmp", p.convert("1"), {}
    yield "rgb.ppm", p, {}
    yield "grey.pgm", grey, {}
    yield "bilevel.pbm", p.convert("1"), {}
    yield "grey16.pgm", sixteen, {}
    for compression in ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"]:
        yield f"{compression}.tif", p, {"compression": compression}
    yield "jpeg.tif", p, {"compression": "jpeg", "quality": 95}
    yield "rgba.tif", rgba, {}
    yield "grey.tif", grey, {}
    yield "grey-alpha.tif", la, {}
    yield "grey16.tiff", sixteen, {}
    yield "bilevel.tif", p.convert("1"), {"compression": "group4"}
    yield "palette.tif", few, {}
    yield "cmyk.tif", cmyk, {}
    yield "white-is-zero.tif", Image.fromarray(255 - np.asarray(grey)), {"tiffinfo": {262: 0}}
    yield "pages.tif", p, {"save_all": True, "append_images": [Image.new("RGB", (5, 6), "blue")]}
    yield "rgb.webp", p, {"lossless": True}
    yield "rgba.webp", rgba, {"lossless": True, "exact": True}
    yield "lossy.webp", p, {"quality": 95}
    yield "animated.webp", p, {"lossless": True, "save_all": True, "append_images": [Image.new("RGB", p.size, "blue")]}
    yield "palette.gif", few, {}
    yield "grey.gif", grey, {}
    yield "transparent.gif", few, {"transparency": 3}
    yield "animated.gif", few, {"save_all": True, "append_images": [Image.new("RGB", p.size, "blue")]}
    yield "rgb.avif", p, {"quality": 100, "subsampling": "4:4:4"}
    yield "rgba.avif", rgba, {"quality": 100, "subsampling": "4:4:4"}
    yield "animated.png", p, {"save_all": True, "append_images": [Image.new("RGB", p.size, "blue")]}
    for turned in range(2, 9):
        exif = Image.Exif()
        exif[0x0112] = turned
        yield f"turned-{turned}.png", p, {"exif": exif}
    exif = Image.Exif()
    exif[0x0112] = 6
    yield "turned.jpg", p, {"quality": 95, "exif": exif}
    yield "turned.webp", p, {"lossless": True, "exif": exif}
    yield "turned.tif", p, {"exif": exif}
    yield "turned.avif", p, {"quality": 100, "subsampling": "4:4:4", "exif": exif}


def bitmap(bits, rows, compression=0, palette=b"", masks=b"", header=40, height=HEIGHT, colours=0):
    """A BMP with a header of our own."""
    if header == 12:
        info = struct.pack("<IHHHH", 12, WIDTH, height, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", header, WIDTH, height, 1, bits, compression, len(rows), 2835, 2835, colours, 0)
        info += masks.ljust(header - 40, b"\0") if header > 40 else b""
    tail = (masks if header == 40 else b"") + palette
    start = 14 + len(info) + len(tail)
    return b"BM" + struct.pack("<IHHI", start + len(rows), 0, 0, start) + info + tail + rows


def padded(rows):
    return b"".join(bytes(row) + bytes(-len(row) % 4) for row in rows)


def bitmaps():
    """Bitmaps that Pillow reads but does not write."""
    p = pixels()
    up = p[::-1]
    yield "top-down.bmp", bitmap(24, padded(row[:, ::-1].tobytes() for row in p), height=-HEIGHT)
    yield "os2.bmp", bitmap(24, padded(row[:, ::-1].tobytes() for row in up), header=12)
    fours = np.concatenate([up[..., ::-1], np.full((HEIGHT, WIDTH, 1), 7, "uint8")], -1)
    yield "32.bmp", bitmap(32, fours.tobytes())
    wide = up.astype(int)
    five = ((wide[..., 0] >> 3) << 10) | ((wide[..., 1] >> 3) << 5) | (wide[..., 2] >> 3)
    yield "555.bmp", bitmap(16, padded(row.astype("<u2").tobytes() for row in five))
    six = ((wide[..., 0] >> 3) << 11) | ((wide[..., 1] >> 2) << 5) | (wide[..., 2] >> 3)
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F)
    yield "565.bmp", bitmap(16, padded(row.astype("<u2").tobytes() for row in six), 3, masks=masks)
    masks = struct.pack("<IIII", 0xFF, 0xFF00, 0xFF0000, 0xFF000000)
    other = np.concatenate([up, np.full((HEIGHT, WIDTH, 1), 99, "uint8")], -1)
    yield "masks.bmp", bitmap(32, other.tobytes(), 3, masks=masks, header=108)
    palette = b"".join(bytes([16 * i, 255 - 10 * i, 5 * i, 0]) for i in range(16))
    indices = (np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)) % 16).astype("uint8")
    nibbles = [bytes((int(a) << 4) | int(b) for a, b in zip(row[0::2], np.append(row[1::2], 0))) for row in indices]
    yield "4.bmp", bitmap(4, padded(nibbles), palette=palette, colours=16)
    runs = b""
    for y in range(HEIGHT):
        if y % 2 == 0:
            runs += bytes([5, y, WIDTH - 5, (y + 3) % 16])
        else:
            runs += bytes([0, WIDTH]) + bytes(indices[y]) + bytes(WIDTH % 2)
        runs += b"\0\0"
    yield "rle8.bmp", bitmap(8, runs[:-2] + b"\0\1", 1, palette=palette, colours=16)
    runs = b""
    for y in range(HEIGHT):
        if y % 2 == 0:
            runs += bytes([6, (y << 4) | 5, WIDTH - 6, 0x33])
        else:
            row = nibbles[y]
            runs += bytes([0, WIDTH]) + row + bytes(len(row) % 2)
        runs += b"\0\0"
    yield "rle4.bmp", bitmap(4, runs[:-2] + b"\0\1", 2, palette=palette, colours=16)


def maps():
    """Portable maps that Pillow reads but does not write."""
    p = pixels()
    text = " ".join(str(v) for v in p.ravel())
    yield "plain.ppm", f"P3 # a comment\n# another\n{WIDTH} {HEIGHT}\n255\n{text}\n".encode()
    grey = p[..., 0]
    yield "plain.pgm", (f"P2\n{WIDTH} {HEIGHT}\n100\n" + " ".join(str(v * 100 // 255) for v in grey.ravel().tolist())).encode()
    bits = "".join("01"[int(v) > 100] for v in grey.ravel())
    yield "plain.pbm", f"P1\n{WIDTH} {HEIGHT}\n{bits}\n".encode()
    yield "maximum.ppm", f"P6 {WIDTH} {HEIGHT} 100\n".encode() + (p.astype(int) * 100 // 255).astype("uint8").tobytes()
    yield "16.ppm", f"P6 {WIDTH} {HEIGHT} 65535\n".encode() + (p.astype(">u2") * 250 + 7).astype(">u2").tobytes()


def rgb16(p):
    """A PNG of three channels of 16 bits."""
    import zlib
    rows = b"".join(b"\0" + row.tobytes() for row in (p.astype(">u2") * 256 + 200).astype(">u2"))
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def offset_gif():
    """A GIF whose only frame covers a part of it."""
    small = io.BytesIO()
    Image.fromarray(pixels()[2:8, 3:11]).quantize(16).save(small, "GIF")
    data = bytearray(small.getvalue())
    at = 13 + 3 * 2 ** ((data[10] & 7) + 1)
    while data[at] != 0x2C:
        at += 8
    data[6:10] = struct.pack("<HH", WIDTH, HEIGHT)
    data[at + 1: at + 5] = struct.pack("<HH", 3, 2)
    return bytes(data)


def rgb(path):
    """What Pillow makes of a file. Of 16 bits the upper eight count; Pillow would make every grey above 255 white."""
    with Image.open(path) as picture:
        picture.load()
        if picture.mode.startswith("I"):
            picture = Image.fromarray((np.asarray(picture) >> 8).astype("uint8"))
        return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for name, picture, options in plain():
        picture.save(FOLDER / name, **options)
    for name, content in [*bitmaps(), *maps(), ("rgb16.png", rgb16(pixels())), ("part.gif", offset_gif())]:
        (FOLDER / name).write_bytes(content)
    save_file({path.name: np.ascontiguousarray(rgb(path)) for path in sorted(FOLDER.iterdir())}, FOLDER / "expected.safetensors")


if __name__ == "__main__":
    main()
