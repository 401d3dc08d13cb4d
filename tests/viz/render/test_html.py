"""Pages in a real browser: hover, theme, unit; no error, no request, text is never markup."""

import json
import re

import numpy as np
import pytest
from web_pages import check_phone, check_silence, opened

from charrnn.viz.attention import FAR
from charrnn.viz.packing import (
    coded_unit,
    packed_levels,
    packed_sights,
    packed_units,
    unit_data,
)
from charrnn.viz.render.colours import ACTIVATION, SURPRISE, activation_levels
from charrnn.viz.render.elements import (
    Chart,
    Coloured,
    Guesses,
    Heading,
    Listing,
    LookBack,
    Picture,
    Remark,
    Rows,
    Stages,
    UnitText,
)
from charrnn.viz.render.html import as_data, page

HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>&amp;\u2028"


def hostile_page():
    """Two units are shown first: one rises from -1 to 1, one falls; the third jumps."""
    signs = list(HOSTILE.replace("\u2028", " "))
    rising = np.linspace(-1, 1, len(signs), dtype=np.float32)
    values = np.stack([rising, -rising, np.resize([-1, 1], len(signs))], axis=1)[:, None]
    data = {
        "signs": ["a", "<b>", "␣"],
        "bits": [0.5] * len(signs),
        "what": "expected",
        "guesses": [[[1, 60], [0, 40]]] * len(signs),
    }
    shown = {f"0:{n} {HOSTILE}": activation_levels(values[:, 0, n]) for n in range(2)}
    parts = [
        Heading(HOSTILE), Remark(HOSTILE), Listing(HOSTILE), Stages([(HOSTILE, HOSTILE)]),
        Rows(("a", "b"), [(HOSTILE, "1")], numeric=(1,)), Chart(HOSTILE, {HOSTILE: [(0, 1)]}),
        UnitText(signs, shown),
    ]  # fmt: skip
    return page(Picture(HOSTILE, parts, lambda: data | unit_data(values, values[:, 0, :2].T)))


def test_text_is_data_and_never_markup():
    html = hostile_page()
    assert html.count("<script") == 2
    assert "<img" not in html
    assert "onerror=alert" in html  # as text


def test_data_is_json_without_anything_that_ends_a_script():
    text = as_data({"a": HOSTILE, "b": "\ud800"})
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text)["a"] == HOSTILE


def test_an_activation_is_a_byte_from_0_to_254():
    import base64

    coded = base64.b64decode(coded_unit(np.array([-1, -0.5, 0, 1, 3], dtype=np.float32)))
    assert [*coded] == [0, 64, 127, 254, 254]


def test_levels_are_half_a_byte_each_row_by_row():
    import base64
    import zlib

    coded = packed_levels(np.array([[0, 8, 3], [1, 2, 4], [5, 6, 7]]))
    assert zlib.decompress(base64.b64decode(coded)).hex() == "0831245670"


def test_of_too_many_units_those_that_move_most_are_kept():
    rng = np.random.default_rng(0)
    values = rng.uniform(-1, 1, (500, 40)).astype(np.float32) * np.geomspace(0.1, 1, 40)
    every, whole = packed_units(values)
    assert every == list(range(40))
    some, packed = packed_units(values, most=len(whole) // 2)
    assert len(packed) <= len(whole) // 2
    assert 10 < len(some) < 40
    assert some == list(range(40))[-len(some) :]


def test_a_grid_has_a_column_for_each_symbol_and_guesses_for_all_but_the_last():
    shares = np.array([[0.5, 0.25]])
    html = page(
        Picture("", [Guesses(["<", "b"], np.array([0, 8]), ACTIVATION, [["&", "中"]], shares)])
    )
    assert '<div><b class="d0">&lt;</b><i class="s4">&amp;</i><i class="s2">中</i></div>' in html
    assert '<div><b class="d8">b</b></div>' in html


HEBREW = "\u05d2\u05b6\u05bc\u05e9\u05b6\u05c1\u05dd\nabc\n"
"""A line with points, to be read from right to left, and one from left to right."""


def coloured_page(text):
    signs = [each.replace("\n", "↵\n") for each in text]
    coloured = Coloured(signs, np.zeros(len(signs), int), SURPRISE, "")
    return page(Picture("", [coloured, Listing(text), Stages([("", text)])]))


def test_elements_that_hold_text_take_its_direction():
    assert coloured_page(HEBREW).count('dir="auto"') == 3


# --- in a browser


def hover(browser, number):
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.by import By

    letters = browser.find_elements(By.CSS_SELECTOR, "#text > *")
    center = "arguments[0].scrollIntoView({block: 'center'})"
    browser.execute_script(center, letters[number])
    ActionChains(browser).move_to_element(letters[number]).perform()
    return letters[number], browser.find_element(By.ID, "now").text


def test_a_page_works_in_a_browser_and_asks_nobody(browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select

    address = opened(browser, hostile_page())
    assert browser.title.startswith("</script><script>document.title=")
    letter, said = hover(browser, 2)
    assert said.startswith(f"3 of {len(HOSTILE)}: s")
    assert "0.5 bits" in said
    assert "expected: <b> 60%  a 40%" in said
    assert letter.get_attribute("class") == "d0 at"

    first = browser.find_element(By.CSS_SELECTOR, "#text i")
    choice = Select(browser.find_element(By.ID, "unit"))
    choice.select_by_index(1)
    assert first.get_attribute("class") == "d8"  # unit 1 begins at 1, unit 0 at -1
    assert [each.text for each in choice.options[2:]] == ["0:0", "0:1", "0:2"]
    classes = "return [...document.querySelectorAll('#text i')].map((i) => i.classList[0])"
    choice.select_by_index(2)  # by its levels: 0:0 once more
    assert first.get_attribute("class") == "d0"
    choice.select_by_index(4)
    assert browser.execute_script(classes)[:4] == ["d0", "d8", "d0", "d8"]
    assert "activation about -1" in browser.find_element(By.ID, "now").text

    root = browser.find_element(By.TAG_NAME, "html")
    before = root.get_attribute("data-theme")
    colour = browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
    browser.find_element(By.ID, "theme").click()
    assert {before, root.get_attribute("data-theme")} == {"light", "dark"}
    body = browser.find_element(By.TAG_NAME, "body")
    assert body.value_of_css_property("background-color") != colour

    text = browser.find_element(By.ID, "text")
    now = browser.find_element(By.ID, "now").text
    text.send_keys(Keys.CONTROL, Keys.END)  # the browser's own
    assert browser.find_element(By.ID, "now").text == now
    text.send_keys(Keys.NULL, Keys.END, Keys.ARROW_LEFT)
    said = browser.find_element(By.ID, "now").text
    assert said.startswith(f"{len(HOSTILE) - 1} of {len(HOSTILE)}")
    text.send_keys(Keys.HOME, Keys.ARROW_DOWN, Keys.ARROW_UP)  # down a line, and back
    assert browser.find_element(By.ID, "now").text.startswith("1 of ")
    check_silence(browser, address)


def attention_page():
    """Four characters and two heads: b looked at a alone, and c at the line end before them."""
    offsets = np.zeros((4, 2, 2), dtype=np.int16)
    weights = np.zeros((4, 2, 2), dtype=np.float32)
    offsets[1, 0, 0], weights[1, 0, 0] = -1, 1
    offsets[1, 1], weights[1, 1] = (0, -1), (0.97, 0.03)
    offsets[2, 0], weights[2, 0] = (FAR, -2), (0.8, 0.2)
    parts = [LookBack(["a", "b", " ", "d"], ["mean", HOSTILE], {})]
    return page(Picture("Attention", parts, lambda: {"looks": packed_sights(offsets, weights)}))


def test_a_page_shows_where_a_character_looked(browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import Select, WebDriverWait

    def levels():
        script = "return [...document.querySelectorAll('#text i')].map((i) => i.classList[0])"
        return browser.execute_script(script)

    address = opened(browser, attention_page())
    now = browser.find_element(By.ID, "now")
    WebDriverWait(browser, 5).until(lambda _: now.text.startswith("4 of 4"))
    assert hover(browser, 1)[1] == "2 of 4: b   looked at: a -1 100%"
    assert levels() == ["s8", "s0", "s0", "s0"]
    browser.find_element(By.ID, "text").send_keys(Keys.ARROW_RIGHT)
    assert now.text == "3 of 4: ␣ space   looked at: start 80%   a -2 20%"
    assert levels() == ["s5", "s0", "s0", "s0"]
    browser.find_element(By.ID, "text").send_keys(Keys.ARROW_LEFT)
    Select(browser.find_element(By.ID, "unit")).select_by_index(1)
    assert now.text == "2 of 4: b   looked at: b 0 97%   a -1 3%"
    assert levels() == ["s2", "s8", "s0", "s0"]
    check_silence(browser, address)


def test_hebrew_is_laid_out_from_right_to_left_with_its_points(browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    address = opened(browser, coloured_page(HEBREW))
    letters = browser.find_elements(By.CSS_SELECTOR, "#text > *")
    x = [letter.rect["x"] for letter in letters]
    gimel, shin, mem, a, b = x[0], x[3], x[6], x[8], x[9]
    text = browser.find_element(By.ID, "text")
    assert gimel > shin > mem > b > a
    assert a < text.rect["x"] + 20  # the second line begins on the left
    assert [round(letters[i].rect["width"]) for i in (1, 2)] == [0, 0]
    text.send_keys(Keys.HOME, Keys.ARROW_LEFT)
    said = browser.find_element(By.ID, "now").text
    assert said == f"2 of {len(letters)}: \N{DOTTED CIRCLE}\u05b6"
    check_silence(browser, address)


def test_a_page_fits_a_phone(browser):
    opened(browser, hostile_page())
    check_phone(browser)


@pytest.fixture(scope="module")
def pages(made_once):
    """Every kind of page, of a run on a text that is full of markup."""
    text = 'The quick <b>"brown" fox</b> & the dog.\n</script><script>alert(1)</script>\n' * 40
    quick = [
        "--steps",
        "30",
        "--hidden-size",
        "16",
        "--attention",
        "8",
        "--device",
        "cpu",
        "--eval-every",
        "10",
        "-q",
    ]
    kinds = {
        "surprise": ["hostile.txt", "-l", "300"],
        "predictions": ["hostile.txt", "-l", "300"],
        "cells": ["hostile.txt", "-l", "2000", "--search"],
        "attention": ["hostile.txt", "-l", "300"],
        "evolution": [],
        "report": [],
    }
    return made_once(
        {"hostile.txt": text},
        ["train", "hostile.txt", *quick],
        *(["viz", kind, "hostile", *rest, "-o", f"{kind}.html"] for kind, rest in kinds.items()),
    )


@pytest.mark.parametrize(
    "name", ["surprise", "predictions", "cells", "attention", "evolution", "report"]
)
def test_every_kind_of_page_works_in_both_themes_and_on_a_phone(browser, pages, name):
    from selenium.webdriver.common.by import By

    address = opened(browser, (pages / f"{name}.html").read_text("utf-8"))
    browser.find_element(By.ID, "theme").click()
    if browser.find_elements(By.ID, "text"):
        assert "␣ space" in hover(browser, 3)[1]
        letter, said = hover(browser, 20)
        assert "at" in letter.get_attribute("class").split()
        assert said.startswith("21 of ")
        assert "bits" in said
        looks_ahead = name in ("predictions", "attention")
        assert ("expected next: " if looks_ahead else "expected: ") in said
    check_phone(browser)
    check_silence(browser, address)


def test_a_page_can_be_read_without_scripts(pages):
    html = (pages / "surprise.html").read_text("utf-8")
    letters = re.findall(r'<i class="s[0-8]">(.*?)</i>', html)
    assert len(letters) == 300
    assert "".join(letters[:9]) == "The quick"
