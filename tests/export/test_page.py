"""The page as a file: its content policy, escaping, size; which models it can hold."""

import base64
import hashlib
import json
import re

import numpy as np
import pytest
from exported_pages import make_model

from charrnn.checkpoints.metadata import Metadata
from charrnn.core.errors import InputError
from charrnn.core.overwriting import is_output
from charrnn.data.vocab import CharVocabulary
from charrnn.export import model as export_model
from charrnn.export.model import check_network, fitted, rounded
from charrnn.export.page import page_bytes

HOSTILE = "</title></script><script>alert(1)</script>\u2028<!--&'\""


@pytest.fixture(scope="module")
def html():
    return page_bytes(make_model(), HOSTILE).decode("utf-8")


def parts(html, kind):
    return re.findall(rf"<{kind}>(.*?)</{kind}>", html, re.DOTALL)


def test_only_the_styles_and_scripts_of_the_page_may_run(html):
    """The policy names the SHA-256 of each of them, and nothing else: no address, no eval."""
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)">', html)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))

    def hashes(kind):
        digests = (hashlib.sha256(text.encode()).digest() for text in parts(html, kind))
        return " ".join(f"'sha256-{base64.b64encode(each).decode()}'" for each in digests)

    assert rules == {
        "default-src": "'none'", "img-src": "data:", "style-src": hashes("style"),
        "script-src": hashes("script"), "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip
    assert len(parts(html, "script")) == 4


def test_the_page_has_no_address_and_no_inline_handler_or_style(html):
    assert re.findall(r"https?:|//\w+\.|\son\w+=|\sstyle=", html) == []
    assert re.findall(r'\s(?:src|href)="(.*?)"', html) == ["data:,"]


def test_a_title_is_only_text(html):
    assert "alert(1)</script>" not in html
    assert html.count("&lt;/title&gt;&lt;/script&gt;&lt;script&gt;alert(1)") == 2
    assert "\u2028" not in html


def test_characters_of_a_model_do_not_end_its_data():
    """They are numbers; what is text in the data has its < escaped."""
    vocab = CharVocabulary(map(ord, "</script>\n\u2028"))
    page = page_bytes(make_model(text="</script>\n", vocab=vocab), "t").decode("utf-8")
    (data,) = re.findall(r'id="data">(.*?)</script>\n<script>"use strict"', page, re.DOTALL)
    assert json.loads(data)["vocabulary"] == vocab.to_json()
    assert "<" not in data


def test_another_page_may_take_its_place(tmp_path, html):
    path = tmp_path / "page.html"
    path.write_text(html, encoding="utf-8")
    assert is_output(path)


def test_weights_have_eleven_significant_bits():
    """Near 1 the steps of float16 are 2^-10, below 1 they are 2^-11."""
    model = make_model()
    model.weights["decoder.bias"][:2] = [1 + 2**-11 + 2**-14, 0.5 + 2**-13]
    assert rounded(model).weights["decoder.bias"][:2].tolist() == [1 + 2**-10, 0.5]


def test_weights_beyond_float16_are_refused():
    """The largest float16 is 65,504."""
    model = make_model()
    model.weights["decoder.bias"][0] = 70_000
    with pytest.raises(InputError, match="too large for 16 bits"):
        rounded(model)


def test_a_memory_without_influence_is_left_out():
    model = make_model()
    model.memory.weight = 0.0
    assert rounded(model).memory is None
    assert rounded(make_model(), with_memory=False).memory is None


def sizes(model):
    """A page of 100 bytes, and 50 for each symbol of context."""
    return bytes(100 + 50 * (model.memory.order if model.memory else 0))


@pytest.mark.parametrize(
    ("largest", "least", "order"), [(250, 0, 3), (249, 0, 2), (149, 0, 0), (90, 60, 1), (90, 0, 0)]
)
def test_the_longest_contexts_that_fit_are_kept(monkeypatch, largest, least, order):
    """A network that is too large alone may have `least` bytes of memory all the same."""
    monkeypatch.setattr(export_model, "LARGEST_PAGE", largest)
    monkeypatch.setattr(export_model, "LEAST_MEMORY", least)
    model, page = fitted(make_model(), sizes)
    assert (model.memory.order if model.memory else 0) == order
    assert len(page) == 100 + 50 * order


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("CELLS", ("gru",), "lstm"),
        ("FIELDS", ("cell", "vocab_size"), "network with embedding_size"),
    ],
)
def test_a_network_that_the_page_cannot_run_is_refused(monkeypatch, name, value, kind):
    check_network(make_model())
    monkeypatch.setattr(export_model, name, value)
    with pytest.raises(InputError, match=f"cannot run a {kind} yet"):
        check_network(make_model())


def test_a_backward_model_is_refused():
    model = make_model(metadata=Metadata(settings={"direction": "backward"}))
    with pytest.raises(InputError, match="cannot run a backward model yet"):
        check_network(model)


def test_rounding_leaves_the_model_as_it_is():
    model = make_model()
    before = model.weights["decoder.weight"].copy()
    rounded(model)
    assert np.array_equal(model.weights["decoder.weight"], before)
