"""Every example in docs/python.md runs, from top to bottom, as one script."""

import re
import runpy

from doc_pages import bash, blocks, page, write_commands, write_texts

import charrnn

TEXT = page("docs/python.md")


def test_every_example_passes(tmp_path, monkeypatch, capsys):
    write_commands(tmp_path / "bin")
    write_texts(tmp_path)
    assert bash(tmp_path, "charrnn train shakespeare.txt -q").returncode == 0
    script = tmp_path / "page.py"
    script.write_text("\n".join(blocks(TEXT, "python")), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("HAMLET.")
    assert any(line.startswith("finished 50 ") for line in lines)
    assert re.fullmatch(r"no-such-model\.safetensors: .*\.safetensors file 2", lines[-1])


def test_every_exported_name_is_on_the_page():
    assert [name for name in charrnn.__all__ if f"`{name}`" not in TEXT] == []
