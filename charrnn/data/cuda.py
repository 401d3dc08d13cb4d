"""Keep the encoded text in GPU memory and cut batches there."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from charrnn.data.batches import Batch, Batches, Streams

SHARE = 4
"""One part in so many of the free memory of a device may be text."""

PIECE = 1 << 24
"""Characters that are sent at a time."""


@dataclass(frozen=True, slots=True)
class ResidentBatch(Batch):
    """A batch of tensors, every target of which counts."""

    @property
    def num_chars(self) -> int:
        """Characters trained on, without asking the device."""
        return int(self.targets.numel())


@dataclass(frozen=True, slots=True)
class ResidentStreams:
    """The batches of Streams, cut out on a device."""

    streams: Streams
    ids: Tensor
    """The text, (N,), on the device: uint8, or 16 bits as int16, which torch can index there."""

    @property
    def steps_per_epoch(self) -> int:
        """Steps of one pass over the text."""
        return self.streams.steps_per_epoch

    @property
    def batch_size(self) -> int:
        """Rows of the state (S)."""
        return self.streams.batch_size

    def batch(self, step: int) -> Batch:
        """Return the batch of a step; its inputs and targets are tensors on the device."""
        starts, is_fresh = self.streams.places(step)
        window = torch.arange(self.streams.seq_len + 1, device=self.ids.device)
        first = torch.from_numpy(starts).to(self.ids.device, non_blocking=True)
        places = (first[:, None] + window) % len(self.ids)
        rows = self.ids[places].to(torch.int64) & 0xFFFF
        return ResidentBatch(rows[:, :-1], rows[:, 1:], is_fresh)


def resident(batches: Batches, device: torch.device) -> Batches:
    """Return the batches of a text that was copied to a GPU, if it fits there; else what was given."""
    if device.type != "cuda" or not isinstance(batches, Streams):
        return batches
    if batches.ids.nbytes > torch.cuda.mem_get_info(device)[0] // SHARE:
        return batches
    return on_device(batches, device)


def on_device(streams: Streams, device: torch.device) -> ResidentStreams:
    """Return the same batches from a text on a device; it is sent in pieces."""
    ids = streams.ids
    dtype, view = (torch.uint8, np.uint8) if ids.itemsize == 1 else (torch.int16, np.int16)
    there = torch.empty(len(ids), dtype=dtype, device=device)
    for begin in range(0, len(ids), PIECE):
        piece = np.array(ids[begin : begin + PIECE]).view(view)
        there[begin : begin + PIECE] = torch.from_numpy(piece).to(device)
    return ResidentStreams(streams, there)
