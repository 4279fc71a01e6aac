"""A Parquet file whose only page has a run of -8 values, over which readers may go round for ever: damaged/endless.parquet.

What the page's header says is right, so that nothing but unpacking the run shows it.
"""

import pyarrow
import pyarrow.parquet
from common import FIXTURES

PATH = FIXTURES / "damaged" / "endless.parquet"

PATH.parent.mkdir(exist_ok=True)
schema = pyarrow.schema([pyarrow.field("question", pyarrow.string(), nullable=False)])
table = pyarrow.table({"question": [f"q{i}" for i in range(200)]}, schema=schema)
pyarrow.parquet.write_table(table, PATH, compression="none", write_statistics=False, data_page_version="2.0")
data = bytearray(PATH.read_bytes())
# 8 bits a value, 25 groups of 8 of them, and the first values.
run = bytes([8, 51, 0, 1, 2, 3])
assert data.count(run) == 1
at = data.index(run)
data[at : at + 6] = bytes([0, 255, 255, 255, 255, 15])
PATH.write_bytes(data)
