"""The page in a real browser, by keyboard alone: write, look at a character, take another, undo."""

import time
from pathlib import Path

import numpy as np
import pytest
from exported_pages import TEXT, make_model
from web_pages import check_phone, check_silence, opened

from charrnn.export.page import page_bytes
from charrnn.export.text import page_text
from charrnn.nn.numpy_engine import make_engine

TITLE = "</title><script>document.title='owned'</script>"


@pytest.fixture
def page(browser):
    """A page of a small model, opened, with the cursor in its text."""
    address = opened(browser, page_bytes(make_model(), TITLE).decode("utf-8"))
    wait(lambda: shown(browser, "controls"))
    yield browser
    check_silence(browser, address)


def wait(condition):
    """Wait until a condition holds, at most 20 seconds."""
    for _ in range(400):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it never came true")


def shown(browser, name):
    return browser.execute_script("return !document.getElementById(arguments[0]).hidden", name)


def text_of(browser, name):
    return browser.execute_script("return document.getElementById(arguments[0]).textContent", name)


def value(browser):
    return browser.execute_script("return document.getElementById('text').value")


def press(browser, *keys):
    browser.switch_to.active_element.send_keys(*keys)


def is_done(browser):
    return text_of(browser, "write") == "Continue" and shown(browser, "guesses")


def written(browser):
    """Press Tab, wait until the model has written, and return what it wrote."""
    before = value(browser)
    press(browser, "\t")
    wait(lambda: is_done(browser) and value(browser) != before)
    return value(browser).removeprefix(before)


def guesses(browser):
    """Wait for the likeliest characters at the cursor; return them with their line."""
    wait(lambda: shown(browser, "guesses"))
    time.sleep(0.3)  # the page looks a moment after the cursor has moved
    buttons = "return Array.from(document.querySelectorAll('#best button'), (b) => b.textContent)"
    return text_of(browser, "here"), browser.execute_script(buttons)


def test_tab_continues_what_is_typed_and_undo_takes_it_back(page):
    assert page.title == TITLE
    press(page, "the cat")
    assert len(written(page)) == 200
    assert text_of(page, "heard").startswith("Written: ")
    both = value(page)
    press(page, "\ue009z")  # Ctrl+Z
    assert value(page) == "the cat"
    press(page, "\ue009y")
    assert value(page) == both
    press(page, "\ue009z")
    page.execute_script("document.getElementById('redo').click()")
    assert value(page) == both
    press(page, "\ue009z")
    press(page, "\ue009z")
    assert value(page) == ""
    assert len(written(page)) == 200


def test_another_character_is_taken_by_keyboard(page):
    """Left of the last "t" of "hat hat": its button says so; the second guess replaces the rest."""
    press(page, "hat hat")
    press(page, "\ue012" * 3)  # to the left
    here, best = guesses(page)
    assert here.startswith("At the cursor is h, ")
    assert len(best) == 5
    press(page, "\ue00c")  # Escape, then Tab: out of the text, to the first guess
    press(page, "\t")
    press(page, "\t")
    assert page.switch_to.active_element.text == best[1]
    press(page, " ")
    wait(lambda: is_done(page) and len(value(page)) > 100)
    sign = {"␣": " ", "↵": "\n"}.get(best[1][0], best[1][0])
    assert value(page).startswith("hat " + sign)
    assert len(value(page)) == 4 + 200
    assert page.switch_to.active_element.get_attribute("id") == "text"


def test_a_character_that_is_enough_ends_the_writing_and_tells_what_it_replaced(page):
    page.execute_script("document.getElementById('amount').selectedOptions[0].value = '1'")
    press(page, "hat hat")
    press(page, "\ue012")  # to the left
    guesses(page)
    page.execute_script("document.querySelector('#best button').click()")
    wait(lambda: is_done(page))
    assert len(value(page)) == 7
    assert text_of(page, "status").startswith("1 character, ")
    assert text_of(page, "status").endswith("Undo brings back what that replaced.")
    assert text_of(page, "heard").endswith("\nUndo brings back what that replaced.")


def test_the_browser_asks_before_a_text_that_was_not_copied_is_left(page):
    asks = (
        "const leave = new Event('beforeunload', { cancelable: true });"
        "window.dispatchEvent(leave); return leave.defaultPrevented"
    )
    assert not page.execute_script(asks)
    press(page, "hat")
    assert page.execute_script(asks)
    page.execute_script("document.getElementById('copy').click()")
    wait(lambda: text_of(page, "status") == "Copied.")
    assert not page.execute_script(asks)


def test_screen_readers_hear_messages(page):
    press(page, "\ue00c")  # Escape
    assert text_of(page, "heard") == text_of(page, "status") == "Tab now leaves the text."
    press(page, "\t")
    assert text_of(page, "status") == ""
    page.execute_script("document.getElementById('text').focus()")
    press(page, "\ue009z")
    assert text_of(page, "heard") == "Nothing to undo."
    press(page, "é")
    wait(lambda: "“é”" in text_of(page, "heard"))


def test_a_click_looks_at_the_character_under_the_pointer(page):
    press(page, "that hat")
    guesses(page)
    place = "const r = document.querySelectorAll('#under span')[5].getBoundingClientRect();"
    x, y = page.execute_script(place + "return [r.right - 1, r.top + r.height / 2]")
    for kind in ("mousePressed", "mouseReleased"):
        event = {"type": kind, "x": x, "y": y, "button": "left", "clickCount": 1}
        page.execute_cdp_cmd("Input.dispatchMouseEvent", event)
    assert guesses(page)[0].startswith("At the cursor is h, ")
    assert page.execute_script("return document.getElementById('text').selectionStart") == 5
    assert page.execute_script("return document.querySelector('.at').textContent") == "h"


def cells(model, text, unit):
    """Return tanh(c) of a unit of layer 0 after each character, by NumPy."""
    engine, values = make_engine(model.config, model.weights), []
    state = engine.empty_state()
    for symbol in model.vocab.encode(text):
        _, state = engine.step(int(symbol), state)
        values.append(float(np.tanh(state.arrays()["c"][0, unit])))
    return np.array(values)


def test_a_unit_colours_the_text_while_it_is_written(page):
    """In seven steps from -1 to 1; the one around 0 has no colour."""
    press(page, "the cat")
    choose = "const s = document.getElementById('unit'); s.value = '3';"
    page.execute_script(choose + "s.dispatchEvent(new Event('change'))")
    written(page)
    classes = page.execute_script(
        "return Array.from(document.querySelectorAll('#under span'), (s) => s.className)"
    )
    levels = np.array([int(name[1:]) if name else 3 for name in classes[:-1]])
    exact = 3 + 3 * cells(make_model(), value(page), 3)
    assert len(levels) == 207
    assert np.abs(levels - exact).max() < 0.52  # the page keeps a value in a byte
    assert len(set(classes)) > 2
    assert shown(page, "scale")


def test_a_page_with_a_text_shows_passages_and_named_units(browser):
    """The cursor shows file and line; without a text there is nothing of it."""
    model = make_model()
    Path("cats.txt").write_text("A text.\n" + TEXT, encoding="utf-8")
    fields = page_text([Path("cats.txt")], model).fields | {"units": [[14, "1:3 in quotes"]]}
    address = opened(browser, page_bytes(model, "t", fields).decode("utf-8"))
    wait(lambda: shown(browser, "controls"))
    press(browser, "hat sat on the mat. hat")
    guesses(browser)
    copied = "return Array.from(document.querySelectorAll('[data-copied]'), (e) => e.textContent)"
    assert "".join(browser.execute_script(copied)) == "at sat on the mat."
    assert not shown(browser, "passage")
    press(browser, "\ue012" * 8)  # to the left
    guesses(browser)
    assert text_of(browser, "passage") == "“at sat on the mat.” is in cats.txt, line 2."
    first = "return document.querySelectorAll('#unit option')[1].textContent"
    assert browser.execute_script(first) == "1:3 in quotes"
    assert shown(browser, "about-passages")
    check_silence(browser, address)


def test_characters_that_the_model_lacks_are_named(page):
    press(page, "the cat é ☺")
    assert "“é” “☺”" in text_of(page, "status")
    written(page)


def test_it_fits_a_phone_and_has_two_themes(page):
    press(page, "the cat")
    written(page)
    colours = []
    for _ in range(2):
        style = "return getComputedStyle(document.body).backgroundColor"
        colours.append(page.execute_script(style))
        page.execute_script("document.getElementById('theme').click()")
    assert len(set(colours)) == 2
    check_phone(page)


def test_a_page_without_a_text_shows_nothing_of_it(page):
    press(page, "the cat sat on the mat.")
    guesses(page)
    assert not any(shown(page, name) for name in ("about-passages", "passage", "named-units"))
    assert page.execute_script("return document.querySelector('[data-copied]')") is None


def test_every_control_has_a_name(page):
    """For screen readers: a label, or text of its own."""
    names = page.execute_script(
        "return Array.from(document.querySelectorAll('button, input, select, textarea'), "
        "(e) => (e.ariaLabel || e.textContent || (e.labels[0] && e.labels[0].textContent) || '').trim())"
    )
    assert len(names) > 10
    assert "" not in names


PHONE = {"width": 360, "height": 640, "deviceScaleFactor": 2, "mobile": True}


def test_a_phone_shows_message_and_cursor_of_a_long_text(page):
    """Neither is below the lower edge, nor behind the guesses, which stick to it."""
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", PHONE)
    press(page, "the cat " * 60)
    written(page)
    place = "return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()"
    after = {name: page.execute_script(place, name) for name in ("#status", "#end", "#guesses")}
    press(page, "\ue012")  # to the left: the guesses have more words, and are higher
    guesses(page)
    left = {name: page.execute_script(place, name) for name in (".at", "#guesses")}
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert 0 < after["#status"]["bottom"] < 100
    assert after["#end"]["bottom"] <= after["#guesses"]["top"] + 1
    assert after["#guesses"]["bottom"] <= 641
    assert left["#guesses"]["top"] < after["#guesses"]["top"]
    assert left[".at"]["bottom"] <= left["#guesses"]["top"] + 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(page, scheme):
    """By the rules of axe-core, with help, guesses and a unit's colours shown."""
    name = "axe_selenium_python"
    axe = pytest.importorskip(name, reason="pip install axe-selenium-python to check accessibility")
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    press(page, "the cat")
    written(page)
    show = (
        "document.querySelector('details').open = true; const s = document.getElementById('unit');"
    )
    page.execute_script(show + "s.value = '3'; s.dispatchEvent(new Event('change'))")
    checker = axe.Axe(page)
    checker.inject()
    found = checker.run()
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert [rule["id"] for rule in found["violations"]] == []
    assert len(found["passes"]) > 20
