"""The page that writes: one HTML file with a model, its engine and no address of any other file."""

import base64
import hashlib
import zlib
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from typing import Any

import numpy as np

from charrnn.checkpoints.model import Model
from charrnn.core.errors import printable
from charrnn.core.overwriting import PAGE_START
from charrnn.export.memory import packed
from charrnn.ngram.gate import GATE_INPUT, GATE_OUTPUT
from charrnn.steering.repeats import WINDOW, penalties
from charrnn.viz.render.html import Html, as_data

SCRIPTS = ("engine.js", "text.js", "passages.js", "page.js")

SHORTEST = 12
"""Characters of a span that is not repeated where readers choose so."""

LARGEST_PAGE = 5_000_000
"""Bytes; a larger page is slow to send and to open."""


def page_bytes(model: Model, title: str, of_text: Mapping[str, Any] | None = None) -> bytes:
    """Return the page of a model whose weights are rounded to float16.

    Args:
        model: The model.
        title: Title of the page.
        of_text: What the page has from a text, in place of the same fields of `page_data`.
    """
    data = {**page_data(model), **(of_text or {})}
    return page(as_data(data), title).encode("utf-8", "backslashreplace")


def page(data: str, title: str) -> Html:
    """Return the page with a model as JSON; only its own styles and scripts may run."""
    sources = files("charrnn.export")
    style = files("charrnn.viz.render").joinpath("page.css").read_text("utf-8")
    style += sources.joinpath("page.css").read_text("utf-8")
    scripts = [sources.joinpath(name).read_text("utf-8") for name in SCRIPTS]
    name = escape(printable(title))
    return (
        f"{PAGE_START}style-src {allowed(style)}; script-src {allowed(*scripts)}; "
        "base-uri 'none'; form-action 'none'\">\n"
        f'<link rel="icon" href="data:,">\n<title>{name}</title>\n<style>{style}</style>\n</head>\n'
        + sources.joinpath("page.html").read_text("utf-8").replace("TITLE", name)
        + f'<script type="application/json" id="data">{data}</script>\n'
        + "".join(f"<script>{script}</script>\n" for script in scripts)
        + "</body>\n</html>\n"
    )


def allowed(*texts: str) -> str:
    """Return the sources of a content security policy that allow these inline texts alone."""
    digests = (hashlib.sha256(text.encode("utf-8")).digest() for text in texts)
    return " ".join(f"'sha256-{base64.b64encode(each).decode('ascii')}'" for each in digests)


def page_data(model: Model) -> dict[str, Any]:
    """Return what engine.js and page.js read, of a page without a text."""
    memory, newline = model.memory and model.memory.characters, model.vocab.newline
    return {
        "network": model.config.to_json(),
        "shapes": {name: list(array.shape) for name, array in model.weights.items()},
        "weights": text_of(packed_weights(model)),
        "memory": memory
        and {
            "order": memory.order,
            "weight": memory.weight,
            "discounts": [list(order.discounts) for order in memory.orders],
            "data": text_of(packed(memory)),
        },
        "gate": {"input": GATE_INPUT, "output": GATE_OUTPUT},
        "repeats": {
            "window": WINDOW,
            "penalties": [float(f"{p:.9g}") for p in penalties(SHORTEST)],
        },
        "vocabulary": model.vocab.to_json(),
        "newline": newline,
        "lineEnds": model.line_ends(),
        "records": model.records,
        "starts": [[symbol, count] for symbol, count in model.starts.items() if count],
        "passages": None,
        "units": [],
    }


def packed_weights(model: Model) -> bytes:
    """Return the weights as float16, deflated: all high bytes, then all low bytes.

    High bytes, which hold sign and exponent, are alike: this saves a seventh.
    """
    halves = np.concatenate([array.ravel().astype("<f2") for array in model.weights.values()])
    both = halves.view(np.uint8).reshape(-1, 2)
    return zlib.compress(both[:, 1].tobytes() + both[:, 0].tobytes(), 9)


def text_of(data: bytes) -> str:
    """Return bytes in base64."""
    return base64.b64encode(data).decode("ascii")
