"""The history of a run, its curves, and the pages about it."""

import json
import os
import re
import shlex
import webbrowser
from pathlib import Path
from random import Random
from urllib.parse import unquote

import pytest

from charrnn.core.errors import InputError
from charrnn.core.overwriting import PAGE_START
from charrnn.viz.history import Preview, read_history
from charrnn.viz.render.svg import line_chart, thinned
from charrnn.viz.report import chosen_previews
from charrnn.viz.verdict import HEADLINES

PICTURES = Path(__file__).parents[2] / "docs" / "pictures.md"

QUICK = [
    "--steps", "30", "--hidden-size", "16", "--num-layers", "1", "--device", "cpu", "--eval-every",
    "10", "--sample-every", "10", "-q",
]  # fmt: skip
TEXT = "The quick <b>brown</b> fox & the dog.\n</script><script>alert(1)</script>\n" * 40


def write_log(*lines, samples=()):
    folder = Path("checkpoints/king")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in samples))
    return folder


def step(number, loss):
    return {"event": "step", "step": number, "loss": loss, "lr": 0.1, "grad_norm": None}


def evaluated(number, loss, *, is_final=False):
    line = {"event": "evaluated", "step": number, "loss": loss, "network_loss": loss + 1}
    return line | {"is_final": is_final}


def test_a_resumed_run_forgets_what_it_did_again():
    folder = write_log(
        {"event": "started", "step": 0}, step(10, 3.0), step(20, 2.0), evaluated(20, 2.5),
        {"event": "started", "step": 10}, step(20, 1.9), evaluated(20, 2.4),
        evaluated(20, 2.3, is_final=True),
    )  # fmt: skip
    curves = read_history(folder).curves
    assert curves["training loss"] == [(10, 3.0), (20, 1.9)]
    assert curves["validation loss"] == [(20, 2.4)]
    assert curves["validation loss, network alone"] == [(20, 3.4)]
    assert curves["gradient norm"] == []


def test_so_does_one_that_has_gone_back():
    folder = write_log(
        {"event": "started", "step": 0}, step(10, 3.0), step(20, 9.0),
        {"event": "rolledback", "step": 20, "good_step": 10}, step(20, 2.0),
    )  # fmt: skip
    assert read_history(folder).curves["training loss"] == [(10, 3.0), (20, 2.0)]


def test_a_preview_has_the_loss_of_the_validation_before_it():
    samples = [{"event": "sampled", "step": n, "text": f"t{n}"} for n in (10, 30, 20)]
    folder = write_log(evaluated(20, 2.0), evaluated(30, 1.5), samples=[*samples, {"step": 5}])
    assert read_history(folder).previews == [
        Preview(10, "t10", None), Preview(20, "t20", 2.0), Preview(30, "t30", 1.5),
    ]  # fmt: skip


def test_what_is_torn_or_foreign_in_a_log_is_passed_over():
    folder = write_log(step(10, 3.0))
    with (folder / "metrics.jsonl").open("a") as log:
        log.write('{"event": "step", "step": 20, "loss": "x"}\n[1]\nnull\n{"event": "st')
    assert read_history(folder).curves["training loss"] == [(10, 3.0)]


def test_a_folder_without_a_log_is_no_run():
    with pytest.raises(InputError, match=r"no metrics.jsonl in it"):
        read_history(Path())


def test_of_many_previews_the_first_and_the_last_are_shown_and_more_of_the_early_ones():
    shown = [each.step for each in chosen_previews([Preview(n, "", None) for n in range(100)])]
    assert (shown[0], shown[-1], len(shown)) == (0, 99, 12)
    assert shown[1] - shown[0] < shown[-1] - shown[-2]


def test_a_curve_goes_through_its_points():
    """x from 0 to 100, y from 1 to 3: the corners of the axes, 720 by 280 with their margins."""
    svg = line_chart("Loss <b>", {"a & b": [(0, 1.0), (50, 3.0), (100, 2.0)], "empty": []})
    assert 'points="58.0,246.0 383.0,12.0 708.0,129.0"' in svg
    assert "Loss &lt;b&gt;" in svg
    assert "a &amp; b" in svg
    assert "empty" not in svg
    assert svg.count("<polyline") == 1
    assert line_chart("Loss", {"empty": []}) == ""


def test_a_curve_of_one_point_or_one_value_has_an_axis_too():
    for points in ([(5, 2.0)], [(0, 0.0), (10, 0.0)], [(0, 1e-9), (10, 1e-9)], [(0, -3.0)]):
        assert "nan" not in line_chart("x", {"a": points})
    ticks = re.findall(r">(-?[\d.]+)</text>", line_chart("x", {"a": [(0, -3.0)]}))
    assert {"-3", "-2"} <= set(ticks)


def test_a_long_curve_keeps_its_ends_and_extremes():
    points = [(float(x), 1.0) for x in range(10_000)]
    points[77], points[5005] = (77.0, -3.0), (5005.0, 9.0)
    kept = list(thinned(points, 100))
    assert len(kept) <= 400
    assert {points[0], points[77], points[5005], points[-1]} <= set(kept)
    assert kept == sorted(kept)
    assert list(thinned(points[:150], 100)) == points[:150]  # pieces of two


# --- commands


@pytest.fixture
def trained(made):
    made({"hostile.txt": TEXT}, ["train", "hostile.txt", *QUICK, "--report"])


def test_a_report_is_one_page_in_which_a_text_is_no_markup(call, trained):
    html = Path("checkpoints/hostile/report.html").read_text("utf-8")
    assert html.count("<script") == 2  # the data and the script
    assert "&lt;" in html
    assert addresses(html) == ["data:,"]
    for part in ("How it went", "What to try next", "Curves", "How the text changed", "What it writes",
                 "Surprise on held-out text", "How to repeat the run"):  # fmt: skip
        assert part in html
    assert "Not shown" not in html


def addresses(html):
    """Return all that a page loads or links to, however it is quoted."""
    return re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]*)""", html)


def test_a_report_in_the_folder_of_its_run_links_to_the_page_there_and_nowhere_else(call, trained):
    """A page of viz is none; from elsewhere, and without a page, the command makes one."""
    folder = Path("checkpoints/hostile")
    command = "charrnn export hostile -o checkpoints/hostile/page.html"

    def report(path):
        assert call("viz", "report", "hostile", "-o", path, "-q")[0] == 0
        return Path(path).read_text("utf-8")

    call("viz", "evolution", "hostile", "-o", folder / "a.html")
    html = report(folder / "report.html")
    assert (addresses(html), command in html) == (["data:,"], True)
    name = 'it\'s "my" <page> & javascript:.html'
    assert call("export", "hostile", "-o", folder / name, "-q")[0] == 0
    html = report(folder / "report.html")
    links = addresses(html)[1:]
    assert [unquote(link) for link in links] == [name]
    assert re.fullmatch(r"[\w.%-]+", links[0])  # no scheme and no folder
    assert command not in html
    html = report("report.html")
    assert (addresses(html), command in html) == (["data:,"], True)


def test_a_report_finds_the_page_by_whatever_name_page_and_folder_have(call, trained):
    """A suffix of DOS, a name that is not UTF-8, a folder by way of another one and by a link."""
    folder = Path("checkpoints/hostile")
    Path("link").symlink_to(folder)
    page = folder / "page.HTM"
    call("export", "hostile", "-o", page, "-q")
    for name in (folder / "report.html", "checkpoints/../link/report.html"):
        assert call("viz", "report", "hostile", "-o", name, "-q")[0] == 0
        assert addresses(Path(name).read_text("utf-8"))[1:] == ["page.HTM"]
    page.rename(os.fsdecode(os.fsencode(folder) + b"/\xff.html"))
    assert call("viz", "report", "hostile", "-o", name, "-q")[0] == 0
    assert addresses(Path(name).read_text("utf-8"))[1:] == ["%FF.html"]
    os.mkfifo(folder / "a.html")  # it would wait for a writer
    assert call("viz", "report", "hostile", "-o", name, "-q")[0] == 0


def test_a_report_says_how_to_write_with_the_model(call, trained):
    commands = {"charrnn write hostile", "charrnn export hostile -o checkpoints/hostile/page.html"}
    text = call("viz", "report", "hostile")[1]
    assert commands <= set(map(str.strip, text.splitlines()))
    call("train", "hostile.txt", *QUICK, "--direction", "backward", "--run", "back")
    text = call("viz", "report", "back")[1]
    assert "charrnn write" not in text
    assert "charrnn export" not in text


def test_a_report_says_that_the_text_is_gone_or_another_one(call):
    Path("hostile.txt").write_text(TEXT, encoding="utf-8")
    call("train", "hostile.txt", *QUICK)
    Path("hostile.txt").write_text(TEXT + "more", encoding="utf-8")
    page = call("viz", "report", "hostile")[1]
    assert "hostile.txt: the text has changed since training" in page
    Path("hostile.txt").unlink()
    call("viz", "report", "hostile", "-o", "r.html")
    assert "Not shown: " in Path("r.html").read_text("utf-8")


def test_surprise_is_what_score_says_and_a_character_each(call, trained):
    _, out, _ = call("viz", "surprise", "hostile", "hostile.txt", "-l", 50, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert "".join(line["symbol"] for line in lines) == TEXT[:50]
    assert all(len(line["guesses"]) == 5 for line in lines)
    assert all(sum(p for _, p in line["guesses"]) <= 1 for line in lines)
    Path("begin.txt").write_text("\n" + TEXT[:50], encoding="utf-8")  # as the picture is read
    _, said, _ = call("score", "begin.txt", "-m", "hostile", "--protocol", "streamed", "--json")
    mean = sum(line["bits"] for line in lines) / 50
    assert mean == pytest.approx(json.loads(said)["loss"] / 0.6931471805599453, abs=1e-4)


def test_in_a_pipe_a_picture_is_text_with_a_legend(call, trained):
    _, out, _ = call("viz", "surprise", "hostile", "hostile.txt", "-l", 40)
    head, legend, empty, text, *_ = out.splitlines()
    assert re.match(r"40 characters, \d\.\d{3} bits each", head)
    assert (legend.startswith("bits of surprise "), empty) == (True, "")
    assert text == TEXT.split("\n")[0] + "↵"
    assert "\x1b" not in out


def test_under_each_character_stand_the_guesses_for_the_next(call, trained):
    _, out, _ = call("viz", "predictions", "hostile", "hostile.txt", "-l", 30)
    lines = out.splitlines()
    assert lines[4] == TEXT[:30]
    assert lines[2].startswith("guesses below that")
    lines = lines[4:]
    assert all(len(line) <= 30 for line in lines[1:7])
    _, numbers, _ = call("viz", "surprise", "hostile", "hostile.txt", "-l", 30, "--json")
    best = [json.loads(line)["guesses"][0][0] for line in numbers.splitlines()]
    _, numbers, _ = call(
        "viz", "predictions", "hostile", "hostile.txt", "-l", 30, "--unit", "0:1", "--json"
    )
    assert all(abs(json.loads(line)["activation"]) <= 1 for line in numbers.splitlines())
    shown = [g if p != "·" else p for g, p in zip(best[1:], lines[2], strict=True)]
    assert "".join(shown).replace(" ", "␣").replace("\n", "↵") == lines[2]


def test_a_unit_that_is_not_there_is_refused(call, trained):
    for unit in ("1:0", "0:16", "x", "0:-1"):
        code, _, err = call("viz", "cells", "hostile", "hostile.txt", "--unit", unit)
        assert (code, "layers are 0 to 0, units 0 to 15" in err) == (2, True)


def test_cells_as_numbers_are_activations_and_a_search_its_findings(call, trained):
    arguments = ("viz", "cells", "hostile", "hostile.txt", "--json")
    lines = call(*arguments, "--unit", "0:3", "--unit", "0:4", "-l", 9)[1].splitlines()
    units = [json.loads(line)["units"] for line in lines]
    assert len(units) == 9
    assert all(set(each) == {"0:3", "0:4"} and abs(each["0:3"]) <= 1 for each in units)
    found = [json.loads(line) for line in call(*arguments, "--search")[1].splitlines()]
    assert {"name", "layer", "unit", "score", "random"} <= found[0].keys()


def test_evolution_shows_the_previews_and_compares_runs(call, trained):
    _, out, _ = call("viz", "evolution", "hostile")
    assert "--- step 10, validation loss" in out
    call("train", "hostile.txt", *QUICK, "--run", "second")
    assert call("viz", "evolution", "hostile", "second", "-o", "e.html")[0] == 0
    html = Path("e.html").read_text("utf-8")
    assert "Validation loss, nats" in html
    assert all(f"</svg> {name}</span>" in html for name in ("hostile", "second"))
    text = call("viz", "evolution", "hostile", "second")[1]
    assert text.count("--- step 10") == 1  # previews are of the first run only


def test_a_page_of_5000_characters_and_1024_units_is_under_2_mb(call):
    """The units of an untrained network change all the time, so that they compress badly."""
    Path("long.txt").write_text("".join(Random(0).choices(TEXT, k=6000)), encoding="utf-8")
    wide = ["--steps", "1", "--hidden-size", "512", "--num-layers", "2", "--memory", "off", "-q"]
    call("train", "long.txt", *wide)
    call("viz", "cells", "long", "long.txt", "-o", "c.html")
    html = Path("c.html").read_bytes()
    assert 500_000 < len(html) < 2_000_000
    assert b'"1:511"' in html


def test_a_page_takes_no_other_files_place(call, trained):
    before = Path("hostile.txt").read_bytes()
    Path("model.html").symlink_to("checkpoints/hostile/best.safetensors")
    for path in ("hostile.txt", "model.html"):
        code, _, err = call("viz", "surprise", "hostile", "hostile.txt", "-l", 9, "-o", path)
        assert (code, "this command reads it; name another file" in err) == (2, True)
    assert Path("hostile.txt").read_bytes() == before
    for _ in range(2):  # a page may be overwritten
        assert call("viz", "surprise", "hostile", "hostile.txt", "-l", 9, "-o", "s.html")[0] == 0


def test_a_name_in_txt_is_written_as_text_and_another_kind_is_refused(call, trained):
    command = ("viz", "surprise", "hostile", "hostile.txt", "-l", 9)
    for _ in range(2):  # a text that did not change may be overwritten
        assert call(*command, "-o", "S.TXT")[:2] == (0, "S.TXT\n")
    assert Path("S.TXT").read_text("utf-8") == call(*command)[1]
    for more, expected in (
        (("-o", "s.png"), "-o: s.png: not written; end its name in .html"),
        (("-o", "s.txt", "--open"), "--open: needs a page"),
        (("--open",), "--open: needs a page"),
    ):
        code, out, err = call(*command, *more)
        assert (code, out, err.count("\n"), expected in err) == (2, "", 1, True)
    assert not list(Path().glob("s.*"))


def test_a_command_of_viz_is_named_where_its_arguments_are_swapped(call, trained):
    for command in ("surprise", "predictions", "cells"):
        code, _, err = call("viz", command, "hostile.txt", "hostile")
        expected = f"swap it with the model: charrnn viz {command} hostile hostile.txt (exit"
        assert (code, expected in err) == (4, True)
    assert (
        "its run is hostile: charrnn viz report hostile ("
        in call("viz", "report", "hostile.txt")[2]
    )


def test_a_page_takes_the_place_of_a_foreign_file_only_on_request(call, trained):
    Path("site.html").write_text("<!doctype html><p>mine", encoding="utf-8")
    for command in (
        ("surprise", "hostile", "hostile.txt"),
        ("evolution", "hostile"),
        ("report", "hostile"),
    ):
        code, _, err = call("viz", *command, "-o", "site.html")
        assert (code, "charrnn did not write it" in err) == (2, True)
        assert Path("site.html").read_text("utf-8") == "<!doctype html><p>mine"
    assert call("viz", "report", "hostile", "-o", "site.html", "--force")[0] == 0
    assert Path("site.html").read_text("utf-8").startswith(PAGE_START)


def test_texts_of_one_character_and_of_several_files_have_pictures(call, trained):
    Path("one.txt").write_text("T", encoding="utf-8")
    Path("two.txt").write_text("h€e", encoding="utf-8")
    for kind in ("surprise", "predictions", "cells"):
        assert call("viz", kind, "hostile", "one.txt")[0] == 0
        code, out, err = call("viz", kind, "hostile", "one.txt", "two.txt")
        assert (code, "The" in out) == (0, True)
        assert err == "note: 1 character that the model has never seen is left out\n"


def test_a_model_of_lines_begins_anew_at_each(call):
    Path("names.txt").write_text("".join(f"{a}n{b}\n" for a in "ABCDEFG" for b in "aeiou"))
    call("train", "names.txt", "--lines", *QUICK)
    Path("two.txt").write_text("Ana\nAna\n")
    lines = call("viz", "surprise", "names", "two.txt", "--json")[1].splitlines()
    bits = [json.loads(line)["bits"] for line in lines]
    assert bits[:4] == pytest.approx(bits[4:], rel=1e-5)
    values = call("viz", "cells", "names", "two.txt", "--json")[1].splitlines()
    units = [json.loads(line)["units"]["0:0"] for line in values]
    assert units[:4] == units[4:]


def test_open_needs_a_page(call, trained):
    code, _, err = call("viz", "surprise", "hostile", "hostile.txt", "--open")
    assert (code, "name it with -o FILE.html" in err) == (2, True)


def test_a_text_may_come_from_stdin(charrnn, trained):
    found = charrnn("viz", "surprise", "hostile", "-", "-o", "s.html", stdin=TEXT[:20])
    assert found.stdout == "s.html\n"
    assert "<h1>Surprise: stdin, read by hostile</h1>" in Path("s.html").read_text("utf-8")
    assert not list(Path("checkpoints").glob(".stdin*"))


def test_a_length_has_bounds(call, trained):
    for length in (0, 100_001):
        code, _, err = call("viz", "cells", "hostile", "hostile.txt", "-l", length)
        assert (code, "must be in [1, 100,000]" in err) == (2, True)
    for length in (1, 100_000):
        assert call("viz", "surprise", "hostile", "hostile.txt", "-l", length)[0] == 0


def test_a_text_that_is_not_read_whole_is_noted(call, trained):
    """By default the first 5,000 characters are read."""
    for length, is_noted in ((4_999, False), (5_001, True)):
        Path("long.txt").write_text((TEXT * 5_001)[:length], encoding="utf-8")
        _, _, err = call("viz", "surprise", "hostile", "long.txt", "--json")
        assert ("only the first 5,000 characters are read; --length N" in err) == is_noted


def test_held_out_lines_are_those_alone_each_with_its_end(call):
    """One name in five is held out, anywhere in the file."""
    names = [f"{a}n{b}" for a in "ABCDEFGHIJKLMN" for b in "aeiou"]
    Path("names.txt").write_text("\n".join(names))
    call("train", "names.txt", "--lines", "--val-frac", 0.2, *QUICK)
    out = call("viz", "surprise", "names", "names.txt", "--held-out", "--json")[1]
    text = "".join(json.loads(line)["symbol"] for line in out.splitlines())
    shown = text.removesuffix("\n").split("\n")
    assert len(shown) == 18  # of 70, by their hashes
    assert set(shown) < set(names)


def test_bytes_are_looked_at_as_characters_but_shown_one_by_one(call):
    """In “é” are the three bytes of the opening mark and the two of é."""
    Path("quotes.txt").write_text("a “é” b\n" * 200, encoding="utf-8")
    call("train", "quotes.txt", "--bytes", *QUICK)
    out = call("viz", "surprise", "quotes", "quotes.txt", "-l", 14)[1]
    assert "14 bytes" in out
    assert "a E2809CC3A9E2809D b↵" in out
    found = call("viz", "cells", "quotes", "quotes.txt", "--search", "--json")[1].splitlines()
    quotes = next(line for line in map(json.loads, found) if line["name"] == "in quotes")
    assert quotes["share"] == pytest.approx(5 / 13, abs=0.01)


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_a_network_without_cells_shows_its_output(call, text_file, cell):
    call("train", text_file, "--cell", cell, *QUICK)
    assert call("viz", "cells", "text", text_file, "-l", 50, "-o", "c.html")[0] == 0
    assert "h, its output" in Path("c.html").read_text("utf-8")
    ours, hidden = (
        call("viz", "cells", "text", text_file, "-l", 50, "--json", *more)[1]
        for more in ((), ("--hidden",))
    )
    assert ours == hidden


def test_a_report_is_text_too_and_says_how_to_go_on(call, trained):
    code, out, _ = call("viz", "report", "hostile")
    assert code == 0
    assert "How it went" in out
    assert "charrnn sample hostile" in out
    assert "validation loss" in out
    assert "still training" not in out


def test_a_report_of_a_run_that_has_just_ended_does_not_take_it_for_running(trained):
    assert "still training" not in Path("checkpoints/hostile/report.html").read_text("utf-8")


def test_a_name_too_long_for_a_folder_is_no_run(call):
    code, _, err = call("viz", "report", "x" * 300)
    assert (code, "no such run or file" in err) == (2, True)


# --- what a second pair of eyes found


def test_a_page_goes_where_a_link_leads_and_over_no_device(call, trained):
    Path("own.html").write_text(PAGE_START, encoding="utf-8")
    Path("link.html").symlink_to("own.html")
    os.mkfifo("pipe")
    begin = ("viz", "surprise", "hostile", "hostile.txt", "-l", 9, "-o")
    assert call(*begin, "link.html")[0] == 0
    assert Path("link.html").is_symlink()
    assert "Surprise" in Path("own.html").read_text("utf-8")
    for path in ("pipe", ".", "/dev/null/x.html"):
        code, _, err = call(*begin, path)
        assert (code, err.count("charrnn: error: -o: ")) == (2, 1)
    code, _, err = call(*begin, "")
    assert (code, err.count("the name is empty")) == (2, 1)


def test_a_name_that_is_no_utf_8_can_be_shown(call, trained):
    name = os.fsdecode(b"bad\xff.txt")
    Path(name).write_text(TEXT, encoding="utf-8")
    assert call("viz", "surprise", "hostile", name, "-l", 9, "-o", "b.html")[0] == 0
    assert "bad\\udcff.txt" in Path("b.html").read_text("utf-8")
    assert call("train", name, "--run", "odd", *QUICK)[0] == 0
    assert call("viz", "report", "odd", "-o", "r.html")[0] == 0
    assert "<td>bad\\udcff.txt</td>" in Path("r.html").read_text("utf-8")


@pytest.mark.parametrize(
    "points",
    [
        [(33, 5e-324)], [(9 * 10**18, 1e-17), (9 * 10**18 + 1, 1.0)], [(1, 1e300), (2, -1e300)],
        [(1, 1.234567), (2, 1.2345671)],
    ],
)  # fmt: skip
def test_an_axis_is_found_for_any_points(points):
    html = line_chart("x", {"a": [(float(x), y) for x, y in points]})
    assert "nan" not in html
    assert "inf" not in html


def test_ticks_are_numbers_that_differ():
    """From 0 to 1,500,000 in steps of 500,000; from 1.2300 to 1.2310 in steps of 0.0005."""
    html = line_chart("x", {"a": [(0.0, 1.23), (1.5e6, 1.231)]})
    ticks = re.findall(r">([\d.,]+)</text>", html)
    assert {"0", "500,000", "1,500,000", "1.2300", "1.2305", "1.2310"} <= set(ticks)
    assert len(set(ticks)) == len(ticks)


def test_json_is_json_whatever_a_log_holds(call, trained):
    with Path("checkpoints/hostile/samples.jsonl").open("a") as log:
        log.write('{"step": 30, "text": "\\ud800\\u009b"}\n')
    with Path("checkpoints/hostile/metrics.jsonl").open("a") as log:
        log.write('{"event": "finished", "step": 30, "foo": NaN}\n')
    for kind in ("evolution", "report"):
        code, out, _ = call("viz", kind, "hostile", "--json")
        line = json.loads(out)
        assert code == 0
        assert "\x9b" not in out
    assert line["history"]["last"]["foo"] is None
    assert line["verdict"] in HEADLINES
    assert any("charrnn sample hostile" in each["command"] for each in line["next"])


def test_a_search_that_finds_nothing_prints_no_line(call, trained):
    Path("one.txt").write_text("T", encoding="utf-8")
    code, out, err = call("viz", "cells", "hostile", "one.txt", "--search", "--json")
    assert (code, out.strip()) == (0, "")
    assert "no property occurs often enough" in err


def test_what_is_unknown_is_counted_as_far_as_a_text_is_read(call, trained):
    Path("unknown.txt").write_text("The€ qui" + "€" * 1000, encoding="utf-8")
    assert "note: 1 character that" in call("viz", "surprise", "hostile", "unknown.txt", "-l", 5)[2]
    assert "note" not in call("viz", "surprise", "hostile", "unknown.txt", "-l", 3)[2]
    Path("none.txt").write_text("€" * 1000, encoding="utf-8")
    code, _, err = call("viz", "surprise", "hostile", "none.txt")
    assert (code, "has no character that the model knows" in err) == (2, True)


def test_an_error_about_stdin_calls_it_so(charrnn, trained):
    found = charrnn("viz", "surprise", "hostile", "-", check=False, stdin="€")
    assert (found.exit_code, "stdin: has no character that the model knows" in found.stderr) == (
        2,
        True,
    )
    found = charrnn("score", "-", "-m", "hostile", check=False, stdin="a€b")
    assert "stdin: 1 characters are not among" in found.stderr


def test_a_text_that_was_learned_is_said_to_be(call, trained):
    assert "the model was trained on this text" in call("viz", "cells", "hostile", "hostile.txt")[2]
    Path("other.txt").write_text(TEXT, encoding="utf-8")
    for more in (("other.txt",), ("hostile.txt", "--held-out")):
        assert call("viz", "cells", "hostile", *more)[2] == ""


def test_guesses_are_coloured_by_surprise_unless_a_unit_is_asked_for(call, trained):
    arguments = ("viz", "predictions", "hostile", "hostile.txt", "-l", 30)
    assert call(*arguments)[1].splitlines()[1].startswith("bits of surprise")
    assert call(*arguments, "--unit", "0:3")[1].splitlines()[1].startswith("activation")
    assert "activation" not in call(*arguments, "--json")[1]


def test_a_run_tested_on_all_of_its_held_out_text_says_nothing_of_a_part(call, trained):
    assert "a part of the held-out text" not in call("viz", "evolution", "hostile")[1]
    with Path("checkpoints/hostile/metrics.jsonl").open("a") as log:
        line = {"event": "evaluated", "step": 30, "loss": 1, "chars": 9, "protocol": "streamed"}
        log.write(json.dumps(line) + "\n")
    assert "a part of the held-out text" in call("viz", "evolution", "hostile")[1]


def test_training_says_where_its_report_is(call):
    Path("a.txt").write_text(TEXT, encoding="utf-8")
    _, out, err = call("train", "a.txt", *QUICK[:-1], "--report")
    assert out == "checkpoints/a/best.safetensors\n"
    assert "report: checkpoints/a/report.html\n" in err


def test_a_text_or_a_model_beside_no_log_is_no_run(call, trained):
    code, _, err = call("viz", "report", "hostile.txt")
    assert (code, "hostile.txt: is a text, not a model; its run is hostile" in err) == (4, True)
    Path("alone.safetensors").write_bytes(Path("checkpoints/hostile/best.safetensors").read_bytes())
    code, _, err = call("viz", "report", "alone.safetensors")
    assert (code, "alone.safetensors: not a run" in err) == (2, True)


def test_a_run_elsewhere_is_made_again_there(call, text_file):
    val = text_file.with_name("val.txt")
    val.write_text("The quick brown fox.\n" * 20, encoding="utf-8")
    call("train", text_file, "--val-file", val, "--checkpoints", "elsewhere", *QUICK)
    out = call("viz", "report", "text", "--checkpoints", "elsewhere")[1]
    assert "Not shown" not in out
    again = next(line for line in out.splitlines() if "--run again" in line)
    assert again.endswith("--checkpoints elsewhere")
    assert "--val-file val.txt" in out


def test_a_page_is_opened_by_its_whole_address_and_only_if_that_is_wanted(
    call, trained, monkeypatch
):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    command = ("viz", "surprise", "hostile", "hostile.txt", "-l", 9, "-o", "page.html")
    assert call(*command)[0] == 0
    assert opened == []
    assert call(*command, "--open")[0] == 0
    assert opened == [Path("page.html").absolute().as_uri()]


def test_every_command_of_the_manual_works(charrnn, monkeypatch):
    """The commands of docs/pictures.md, with a small model; the left side of a pipe is stdin."""
    monkeypatch.setattr(webbrowser, "open", lambda address: True)
    lines = PICTURES.read_text("utf-8").splitlines()
    commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    for name in ("shakespeare.txt", "letter.txt", "my.txt"):
        Path(name).write_text(TEXT, encoding="utf-8")
    for run in ("shakespeare", "first", "second", "third"):
        wide = ["--hidden-size", 480, "--steps", 10, "-q"]
        charrnn(
            "train", "shakespeare.txt", "--run", run, *(wide if run == "shakespeare" else QUICK)
        )
    blocks = ["--cell", "transformer", "--num-layers", 4, "--hidden-size", 12, "--num-heads", 3]
    charrnn("train", "shakespeare.txt", "--run", "tiny", *blocks, "--steps", 10, "-q")
    monkeypatch.setenv("CHARRNN_TRAIN_STEPS", "10")
    assert len(commands) > 12
    for command in commands:
        before, _, after = command.rpartition("charrnn ")
        words = shlex.split(after.split(" | ")[0])
        stdin = before.removeprefix("echo ").removesuffix(" | ") if before else None
        assert charrnn(*words, stdin=stdin).stdout, command
