"""Parquet files with empty pages and texts that begin with a byte order mark, packed by every codec: texts/odd-CODEC.parquet."""

import pyarrow
import pyarrow.parquet
from common import FIXTURES

TEXTS = ["\ufeffmarked", "", "plain"]


def main():
    table = pyarrow.table(
        {
            "text": pyarrow.array(TEXTS),
            # All of them null: a page without a byte.
            "none": pyarrow.array([None] * 3, type=pyarrow.string()),
            # Bytes that are no text, and some that are.
            "bytes": pyarrow.array([b"\xff\xfe", b"", b"abc"]),
        }
    )
    for codec in ["none", "snappy", "gzip", "zstd", "lz4", "brotli"]:
        path = FIXTURES / "texts" / f"odd-{codec}.parquet"
        pyarrow.parquet.write_table(table, path, compression=codec, write_statistics=False, store_schema=False)
    print("6 files")


if __name__ == "__main__":
    main()
