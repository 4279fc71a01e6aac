"""An event file of given numbers and pictures, written by TensorBoard's own messages and record writer, and read back by
its EventAccumulator.

Writes tests/fixtures/events/ (README.md has the layout).
"""

import base64
import io
import json
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

FOLDER = Path(__file__).resolve().parents[3] / "tests" / "fixtures" / "events"
START = 1_700_000_000


def png(mode: str) -> bytes:
    """A picture of 3 x 2 pixels."""
    image = Image.new(mode, (3, 2), 200)
    image.putpixel((1, 1), 7 if mode == "L" else (7, 8, 9))
    buffer = io.BytesIO()
    image.save(buffer, "png")
    return buffer.getvalue()


WRITTEN = [
    {"step": 0, "tag": "pictures/samples", "png": base64.b64encode(png("L")).decode()},
    {"step": 1, "values": {"train/loss": 2.302585093, "train/lr": 5e-4, "train/seconds": 0.0}},
    {"step": 2, "values": {"train/loss": float(2**-140), "train/lr": 2.5e-4, "evaluation/accuracy": 1 / 3}},
    {"step": 300, "values": {"größe/λ": -1e30}},
    {"step": 5_000_000_000, "tag": "pictures/samples", "png": base64.b64encode(png("RGB")).decode()},
]


def event(number: int, record: dict) -> Event:
    """A record as TensorBoard's message; each comes a quarter of a second after the one before it."""
    summary = Summary()
    for tag, value in record.get("values", {}).items():
        summary.value.add(tag=tag, simple_value=value)
    if "png" in record:
        encoded = base64.b64decode(record["png"])
        channels = len(Image.open(io.BytesIO(encoded)).getbands())
        image = Summary.Image(height=2, width=3, colorspace=channels, encoded_image_string=encoded)
        summary.value.add(tag=record["tag"], image=image)
    return Event(wall_time=START + 0.25 * (number + 1), step=record["step"], summary=summary)


FOLDER.mkdir(parents=True, exist_ok=True)
path = FOLDER / "expected.tfevents"
with open(path, "wb") as file:
    writer = RecordWriter(file)
    writer.write(Event(wall_time=START, file_version="brain.Event:2").SerializeToString(deterministic=True))
    for number, record in enumerate(WRITTEN):
        writer.write(event(number, record).SerializeToString(deterministic=True))

with tempfile.TemporaryDirectory() as folder:
    shutil.copy(path, Path(folder) / f"events.out.tfevents.{START}.onelora")
    read = EventAccumulator(folder, size_guidance={"scalars": 0, "images": 0})
    read.Reload()
    scalars = {tag: [[each.step, each.value] for each in read.Scalars(tag)] for tag in read.Tags()["scalars"]}
    pictures = {
        tag: [[each.step, each.width, each.height] for each in read.Images(tag)] for tag in read.Tags()["images"]
    }

content = {"start": START, "written": WRITTEN, "scalars": scalars, "pictures": pictures}
(FOLDER / "events.json").write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
