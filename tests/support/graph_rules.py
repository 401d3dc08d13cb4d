"""What a CUDA graph must not capture, seen without a GPU.

On the CPU every operation that would wait for the device, or whose shape depends on data, is seen.
On the device "meta", which has shapes and no numbers, copies to and from the host are seen as well.
"""

from contextlib import contextmanager

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

WAITING = {
    "_local_scalar_dense", "item", "is_nonzero", "equal", "nonzero", "masked_select", "argwhere",
    "_unique", "_unique2", "unique_dim", "unique_consecutive", "unique_dim_consecutive",
}  # fmt: skip
"""Operations that read numbers of the device, or whose shape depends on them."""

INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}


class Forbidden(Exception):
    """An operation that a CUDA graph must not capture."""


class GraphRules(TorchDispatchMode):
    """Raises Forbidden at the first operation that a CUDA graph must not capture."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        if name in WAITING:
            raise Forbidden(name)
        indices = args[1] if name in INDEXING else ()
        if any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices):
            raise Forbidden(f"{name} by a mask")
        check_devices(name, (args, kwargs))
        result = func(*args, **(kwargs or {}))
        check_devices(name, (args, kwargs, result))
        return result


def check_devices(name, values):
    """Raise Forbidden if tensors of an operation are on several devices."""
    tensors = [each for each in tree_leaves(values) if isinstance(each, torch.Tensor)]
    devices = {each.device.type for each in tensors}
    if len(devices) > 1:
        raise Forbidden(f"{name} between {' and '.join(sorted(devices))}")


@contextmanager
def no_waiting():
    """On a GPU, let every operation that waits for it raise an error."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
