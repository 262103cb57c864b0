"""What a training has logged to TensorBoard, read back."""

import struct
from collections.abc import Iterator
from pathlib import Path

from tensorboardX.proto.event_pb2 import Event


def events_in(path: Path) -> Iterator[Event]:
    """The events of one file: records of TensorFlow, each a length, its checksum, the event, its checksum."""
    content = path.read_bytes()
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        yield Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]


def scalars_in(folder: Path, name: str) -> dict[int, float]:
    """The value of each step; where a run that went on has logged a step again, the last one."""
    values = [
        (event.wall_time, event.step, value.simple_value)
        for path in folder.iterdir()
        for event in events_in(path)
        for value in event.summary.value
        if value.tag == name
    ]
    return {step: value for _, step, value in sorted(values)}


def pictures_in(folder: Path) -> list[int]:
    """The steps of which there is a picture."""
    return sorted(
        event.step
        for path in folder.iterdir()
        for event in events_in(path)
        for value in event.summary.value
        if value.HasField("image")
    )
