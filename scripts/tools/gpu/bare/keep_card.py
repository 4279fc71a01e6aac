"""Empties the device code of a CUDA library but for one kind of card, so that it packs small: keep_card.py LIBRARY 90

Such a library holds containers (`.nv_fatbin`): a header of 16 bytes (magic, version, its size, size of what follows), then entries,
each with a header (kind: 1 PTX, 2 machine code; size of header and payload; at 28 the compute capability) and a payload.
"""

import mmap
import struct
import sys

path, wanted = sys.argv[1], int(sys.argv[2])
MAGIC, MACHINE_CODE = struct.pack("<I", 0xBA55ED50), 2

kept = emptied = 0
with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as data:
    at = data.find(MAGIC)
    while at >= 0:
        _, header, size = struct.unpack_from("<HHQ", data, at + 4)
        entry, end = at + header, at + header + size
        while header == 16 and entry < end <= len(data):
            kind, _, head, payload = struct.unpack_from("<HHIQ", data, entry)
            (capability,) = struct.unpack_from("<I", data, entry + 28)
            if kind == MACHINE_CODE and capability == wanted:
                kept += payload
            else:
                data[entry + head : entry + head + payload] = bytes(payload)
                emptied += payload
            entry += head + payload
        # What only looks like a container has another header.
        at = data.find(MAGIC, end if header == 16 and end <= len(data) else at + 4)
print(f"{path}: {kept / 1e6:.0f} MB of device code kept, {emptied / 1e6:.0f} MB emptied")
