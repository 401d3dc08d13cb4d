"""Keep the encoded text in GPU memory and cut batches there."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from charrnn.data.batches import Batch, Batches, Streams

SHARE = 4
"""The text may take one part in SHARE of the free memory of a device."""

PIECE = 1 << 24
"""Characters per transfer."""


@dataclass(frozen=True, slots=True)
class GpuBatch(Batch):
    """A batch of tensors in which every target counts."""

    @property
    def num_chars(self) -> int:
        """Number of targets, without a transfer from the device."""
        return int(self.targets.numel())


@dataclass(frozen=True, slots=True)
class GpuStreams(Streams):
    """The batches of `Streams`, indexed on a device."""

    copy: Tensor
    """The text on the device, (N,): uint8, or 16 bits as int16, which torch can index."""

    def batch(self, step: int) -> Batch:
        """Return the batch of a step; its inputs and targets are tensors on the device."""
        starts, is_fresh = self.windows(step)
        window = torch.arange(self.seq_len + 1, device=self.copy.device)
        first = torch.from_numpy(starts).to(self.copy.device, non_blocking=True)
        positions = (first[:, None] + window) % len(self.copy)
        rows = self.copy[positions].to(torch.int64) & 0xFFFF
        return GpuBatch(rows[:, :-1], rows[:, 1:], is_fresh)


def maybe_to_gpu(batches: Batches, device: torch.device) -> Batches:
    """Return batches indexed on the GPU if the text fits into its memory, else the same batches."""
    if device.type != "cuda" or not isinstance(batches, Streams):
        return batches
    if batches.ids.nbytes > torch.cuda.mem_get_info(device)[0] // SHARE:
        return batches
    return to_gpu(batches, device)


def to_gpu(streams: Streams, device: torch.device) -> GpuStreams:
    """Copy the text to a device, piece by piece, and return the same batches from there."""
    ids = streams.ids
    dtype, view = (torch.uint8, np.uint8) if ids.itemsize == 1 else (torch.int16, np.int16)
    copied = torch.empty(len(ids), dtype=dtype, device=device)
    for begin in range(0, len(ids), PIECE):
        piece = np.array(ids[begin : begin + PIECE]).view(view)
        copied[begin : begin + PIECE] = torch.from_numpy(piece).to(device)
    return GpuStreams(
        ids,
        streams.batch_size,
        streams.seq_len,
        streams.seed,
        streams.restart_prob,
        copied,
        pieces=streams.pieces,
    )
