"""Small files in the published formats of depth data sets, made by the tools that read and write the real ones.

Run: pip install h5py imagecodecs numpy pillow scipy tifffile; python scripts/tools/reference/depth_files.py
Writes tests/fixtures/depth-files/. What they hold follows from formulas that the tests repeat.
"""

import pathlib

import h5py
import numpy as np
import tifffile
from PIL import Image
from scipy.io import savemat

FOLDER = pathlib.Path(__file__).parents[3] / "tests" / "fixtures" / "depth-files"
FRAMES, HEIGHT, WIDTH = 12, 6, 8


def grid(*shape):
    return np.meshgrid(*[np.arange(size) for size in shape], indexing="ij")


def nyu_labelled(path, **changes):
    """As MATLAB saves images [height, width, 3, frames] and depths [height, width, frames]: HDF5 sees axes reversed."""
    n, c, x, y = grid(FRAMES, 3, WIDTH, HEIGHT)
    arrays = {"images": (n * 20 + c * 60 + x * 5 + y).astype(np.uint8)}
    n, x, y = grid(FRAMES, WIDTH, HEIGHT)
    arrays["depths"] = (1 + n / 2 + x / 16 + y / 64).astype(np.float32)
    arrays.update(changes)
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            if array is not None:
                file.create_dataset(name, data=array, chunks=(1, *array.shape[1:]), compression="gzip")
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .".ljust(124) + b"\x00\x02IM")


def matlab_5(path, **arguments):
    """As scipy writes it, without the time that its header holds."""
    savemat(path, **arguments)
    with open(path, "r+b") as file:
        file.write(b"MATLAB 5.0 MAT-file Platform: posix".ljust(116))


def tiffs(metres, folder):
    """Maps as TIFF, and such as must be refused: another packing in tiles, which decoders may take for zeros, halves, white zeros."""
    floats = metres.astype(np.float32)
    floats[0, 0] = np.nan
    tifffile.imwrite(folder / "depth-f32.tiff", floats, compression="zlib", predictor=3, byteorder=">")
    tifffile.imwrite(folder / "depth-u16.tif", (1000 * metres).astype(np.uint16), compression="lzw", predictor=2)
    tifffile.imwrite(folder / "depth-f16.tiff", metres.astype(np.float16))
    tifffile.imwrite(folder / "depth-i32.tiff", (1000 * metres).astype(np.int32))
    tifffile.imwrite(folder / "depth-white.tiff", (1000 * metres).astype(np.uint16), photometric="miniswhite")
    tifffile.imwrite(folder / "depth-zstd.tiff", floats, compression="zstd", tile=(16, 16))


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    nyu_labelled(FOLDER / "nyu.mat")
    nyu_labelled(FOLDER / "nyu-no-depths.mat", depths=None)
    nyu_labelled(FOLDER / "nyu-other-depths.mat", depths=np.zeros((FRAMES, WIDTH, HEIGHT + 1), np.float32))

    splits = {"trainNdxs": np.array([[1.0], [3.0]]), "testNdxs": np.array([[2.0], [5.0], [12.0]])}
    matlab_5(FOLDER / "splits-packed.mat", mdict=splits, do_compression=True)
    matlab_5(FOLDER / "splits-plain.mat", mdict={name: array.astype(np.uint16) for name, array in splits.items()})
    matlab_5(FOLDER / "splits-beyond.mat", mdict={"testNdxs": np.array([[13.0]])})

    y, x = grid(HEIGHT, WIDTH)
    colours = np.stack([20 * y, 30 * x, 100 + 0 * x], -1).astype(np.uint8)
    Image.fromarray(colours).save(FOLDER / "picture.png")
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), (200, 100, 50), np.uint8)).save(FOLDER / "picture.jpg", quality=95)
    Image.fromarray((1000 * y + 7 * x).astype(np.uint16)).save(FOLDER / "depth.png")
    tiffs(1 + y + x / 16, FOLDER)
    Image.fromarray((10 * y + x).astype(np.uint8)).save(FOLDER / "depth-8-bit.png")

    y, x = grid(375, 1242)
    Image.fromarray(np.stack([y % 256, x % 256, 7 * (y // 256 + x // 256)], -1).astype(np.uint8)).save(FOLDER / "kitti.png")
    sparse = np.where((x % 40 == 3) & (y % 20 == 14), 100 * y + x, 0)
    Image.fromarray(sparse.astype(np.uint16)).save(FOLDER / "kitti-depth.png")

    y, x = grid(HEIGHT, WIDTH)
    depth = (0.5 * y + 0.125 * x).astype(np.float32)[..., None]
    mask = (x + y) % 3 > 0
    np.save(FOLDER / "diode_depth.npy", depth)
    np.save(FOLDER / "diode_depth_mask.npy", mask.astype(np.float64))
    values = np.array([[0, 1, 100], [7, 55, 120]])
    for kind in ["?", "|u1", "|i1", "<u2", ">u2", "<i2", "<i4", ">i4", "<u4", "<i8", "<u8", "<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]:
        safe = kind.replace("<", "little-").replace(">", "big-").replace("|", "").replace("?", "bool")
        np.save(FOLDER / f"{safe}.npy", values.astype(kind))
    np.save(FOLDER / "fortran.npy", np.asfortranarray(values.astype(np.float32)))
    np.save(FOLDER / "fortran-deep.npy", np.asfortranarray(np.arange(12, dtype=np.float64).reshape(2, 3, 2)))
    np.save(FOLDER / "complex.npy", values.astype(np.complex64))
    np.save(FOLDER / "scalar.npy", np.float32(2.5))


if __name__ == "__main__":
    main()
