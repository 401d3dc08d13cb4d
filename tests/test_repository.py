"""What is tracked: no large file that is not named here, no path of a machine, no profile or log."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

LARGE = 200_000
"""Bytes of a tracked file, at most."""

LISTED = frozenset()
"""Larger files that belong here."""

ABSOLUTE = re.compile(r"(?<![\w.:/<])/(?:home|root|Users|work|builds|mnt|private)/[\w.-]+")
"""A path that exists on one machine only."""


def tracked():
    """Return the tracked files; a source distribution without git has none to look at."""
    listing = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listing.returncode:
        pytest.skip("no git repository")
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_tracked_file_is_large():
    large = {str(path.relative_to(ROOT)) for path in tracked() if path.stat().st_size > LARGE}
    assert large == LISTED


def test_no_profile_or_log_is_tracked():
    assert [path for path in tracked() if path.suffix in {".out", ".prof", ".log"}] == []


def absolute_paths(text):
    """Return the paths in a text that exist on one machine only."""
    return ABSOLUTE.findall(text)


def test_no_tracked_file_names_a_path_of_a_machine():
    found = {}
    for path in tracked():
        text = path.read_bytes().decode("utf-8", "replace")
        if path != Path(__file__) and (paths := absolute_paths(text)):
            found[str(path.relative_to(ROOT))] = paths
    assert found == {}


@pytest.mark.parametrize("path", ["/home/ann", "/Users/ann"])
def test_a_path_of_a_machine_is_seen(path):
    assert absolute_paths(f"see {path}/a.py:12") == [path]
    assert absolute_paths(f"https://example.org{path}") == []
