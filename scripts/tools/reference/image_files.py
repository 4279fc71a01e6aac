"""Small files in the published formats of image data sets, made by the tools that make the real ones.

Run: pip install datasets==4.8.4 pandas pillow pyarrow; python scripts/tools/reference/image_files.py
Writes tests/fixtures/image-files/. What they hold follows from formulas that the tests repeat.
"""

import gzip
import io
import pathlib
import shutil
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, Features, Image
from PIL import Image as Picture

FOLDER = pathlib.Path(__file__).parents[3] / "tests" / "fixtures" / "image-files"
CLASSES = ["cat", "dog", "emu"]


def record(n, *labels):
    """Labels, then a red, a green and a blue plane of 32x32: pixel i of channel c is (50 c + i + 7 n) mod 256."""
    planes = [(50 * c + np.arange(1024) + 7 * n) % 256 for c in range(3)]
    return bytes(labels) + np.concatenate(planes).astype(np.uint8).tobytes()


def archive(path, folder, members):
    """A .tar.gz without times and owners."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.GNU_FORMAT) as file:
        top = tarfile.TarInfo(folder)
        top.type, top.mode = tarfile.DIRTYPE, 0o755
        file.addfile(top)
        for name, content in members.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    path.write_bytes(gzip.compress(tar.getvalue(), mtime=0))


def names(*lines):
    return ("\n".join(lines) + "\n").encode()


def cifar():
    batches = {f"data_batch_{b}.bin": record(2 * b, 2 * b - 2) + record(2 * b + 1, 2 * b - 1) for b in (4, 1, 3, 2, 5)}
    ten = {"batches.meta.txt": names(*[f"class {i}" for i in range(10)], ""), "readme.html": b"<p>", **batches}
    archive(FOLDER / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", {**ten, "test_batch.bin": record(0, 9)})
    archive(FOLDER / "cifar-100-binary.tar.gz", "cifar-100-binary", {
        "coarse_label_names.txt": names(*[f"coarse {i}" for i in range(20)]),
        "fine_label_names.txt": names(*[f"fine {i}" for i in range(100)]),
        "test.bin": record(0, 19, 42),
        "train.bin": record(1, 1, 99) + record(2, 19, 0),
    })


def picture(n):
    """6 rows of 8 pixels: (20 y + n, 30 x, 100 + n)."""
    y, x = np.meshgrid(np.arange(6), np.arange(8), indexing="ij")
    return np.stack([20 * y + n, 30 * x, 100 + n + 0 * x], -1).astype(np.uint8)


def encoded(n, kind="PNG", **options):
    file = io.BytesIO()
    Picture.fromarray(picture(n)).save(file, kind, **options)
    return file.getvalue()


def food():
    folder = FOLDER / "food-101"
    lists = {"train": ["baby_back_ribs/2", "apple_pie/1005649", "apple_pie/7"], "test": ["baby_back_ribs/11"]}
    for n, line in enumerate(lists["train"] + lists["test"]):
        path = folder / "images" / f"{line}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Picture.fromarray(picture(10 * n)).save(path, quality=95, subsampling=0)
    (folder / "meta").mkdir()
    (folder / "meta" / "classes.txt").write_bytes(names("apple_pie", "baby_back_ribs"))
    for part, lines in lists.items():
        # The published lists end without a line break.
        (folder / "meta" / f"{part}.txt").write_bytes(names(*lines)[:-1])


def hub():
    """As `push_to_hub` lays out a data set: features are in the footers, two rows a group."""
    features = Features({"image": Image(), "label": ClassLabel(names=CLASSES)})

    def write(name, rows):
        columns = {"image": [{"bytes": encoded(n), "path": f"{n}.png"} for n in rows], "label": [n % 3 for n in rows]}
        Dataset.from_dict(columns, features=features).to_parquet(FOLDER / "hub" / "data" / name, batch_size=2)

    (FOLDER / "hub" / "data").mkdir(parents=True)
    write("train-00000-of-00002.parquet", range(0, 5))
    write("train-00001-of-00002.parquet", range(5, 8))
    write("validation-00000-of-00001.parquet", range(8, 10))


def several():
    """Any number of labels a picture, as `datasets` writes lists of classes."""
    features = Features({"image": Image(), "labels": [ClassLabel(names=CLASSES)]})
    (FOLDER / "several").mkdir(parents=True)
    for part, rows in {"train": range(6), "test": range(6, 8)}.items():
        columns = {
            "image": [{"bytes": encoded(n), "path": f"{n}.png"} for n in rows],
            "labels": [[k for k in range(3) if n >> k & 1] for n in rows],
        }
        Dataset.from_dict(columns, features=features).to_parquet(FOLDER / "several" / f"{part}.parquet")


def card():
    """As older tools did: no features in the footers but in the card, a folder for the configuration; page indexes."""
    folder = FOLDER / "card" / "tiny"
    folder.mkdir(parents=True)
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema([("img", image), ("fine_label", pa.int64()), ("coarse_label", pa.int64())])

    def write(name, rows):
        columns = {
            "img": [{"bytes": encoded(n), "path": None} for n in rows],
            "fine_label": [n % 3 for n in rows],
            "coarse_label": [0 for _ in rows],
        }
        table = pa.table(columns, schema=schema)
        pq.write_table(table, folder / name, compression="zstd", write_page_index=True, data_page_size=1, write_batch_size=1)

    write("train-00000-of-00001.parquet", range(6))
    write("test-00000-of-00001.parquet", range(6, 8))
    lines = [f"          '{i}': {name}" for i, name in enumerate(CLASSES)]
    text = ["---", "license: mit", "dataset_info:", "- config_name: tiny", "  features:", "  - name: img", "    dtype: image"]
    text += ["  - name: fine_label", "    dtype:", "      class_label:", "        names:", *lines, "---", "# Tiny"]
    (FOLDER / "card" / "README.md").write_bytes(names(*text))


def faults():
    """Rows that cannot be used: no bytes, noise, labels that are none; and columns by other names."""
    folder = FOLDER / "faults"
    folder.mkdir(parents=True)
    rows = [(encoded(0), 0), (None, 1), (b"noise", 1), (encoded(3)[:-30], 1), (encoded(4), -1), (encoded(5), None), (encoded(6), 1)]
    image = pa.array([{"bytes": each, "path": "a.png"} for each, _ in rows])
    table = pa.table({"image": image, "label": pa.array([label for _, label in rows], pa.int32())})
    pq.write_table(table, folder / "train.parquet")
    pq.write_table(table, folder / "test.parquet")
    pq.write_table(table.rename_columns(["picture", "kind"]), folder / "other-columns.parquet")


def main():
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    for write in (cifar, food, hub, several, card, faults):
        write()


if __name__ == "__main__":
    main()
