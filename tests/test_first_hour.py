"""A shell follows the tutorial word by word: from a fresh clone, with the wheel made of it, outside the checkout."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import pytest
import setuptools

ROOT = Path(__file__).parents[1]
TUTORIAL = ROOT / "docs/tutorial.md"
FENCE = re.compile(r'^```(\w+)(?: title="([^"\n]*)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
IN_SOURCES = "in the folder of lrrt's sources"
VALUES = {  # of what is printed, these differ from machine to machine
    r"\b(?:sgd|adam|fixed|exponential|one_cycle)\b": "VALUE",
    r"\d[\d.e+-]*": "NUMBER",
    r"(?:NUMBER min )?NUMBER s\b": "TIME",
    r" +": " ",
}


def dependencies(folder):
    """Link what lrrt needs, as this Python has it, and no lrrt; return the folder for PYTHONPATH."""
    folder.mkdir()
    for package in (setuptools, keras):
        for path in Path(package.__file__).parents[1].iterdir():
            is_ours = path.name.startswith(("lrrt", "__editable__")) or path.suffix == ".pth"
            if not is_ours and not (folder / path.name).exists():
                (folder / path.name).symlink_to(path)
    return folder


def shell_of(tutorial):
    """Give the commands of the tutorial as one script, and its files by name."""
    lines, files = [], {}
    for language, title, text in tutorial:
        if language == "sh":
            lines += ["cd $CLONE", text, "cd $ELSEWHERE"] if title == IN_SOURCES else [text]
        elif language == "python" and not title:
            lines.append(f"python - <<'END'\n{text}END")
        elif title:
            files[title] = text
    return "\n".join(lines), files


def without_values(text):
    """Return a text with the same in place of each value."""
    for value, name in VALUES.items():
        text = re.sub(value, name, text)
    return text


@pytest.mark.lengthy
def test_the_tutorial_is_followed_word_by_word_in_a_fresh_clone(tmp_path):
    pytest.importorskip("setuptools", minversion="77", reason="`make` installs the setuptools that builds the wheel")
    if not (ROOT / ".git").exists():
        pytest.skip("these files are no checkout that could be cloned")
    clone, elsewhere, programs = tmp_path / "clone", tmp_path / "elsewhere", tmp_path / "bin"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    shutil.copy(TUTORIAL, clone / "docs")  # as it is read here
    elsewhere.mkdir()
    programs.mkdir()
    (programs / "python3").symlink_to(Path(sys.base_prefix, "bin/python3"))
    script, files = shell_of(FENCE.findall(TUTORIAL.read_text(encoding="utf-8")))
    for name, text in files.items():
        (elsewhere / name).write_text(text, encoding="utf-8")

    ended = subprocess.run(
        ["bash", "-e", "-c", script],
        env={
            "PATH": f"{programs}:{os.defpath}",
            "HOME": str(tmp_path),
            "CLONE": str(clone),
            "ELSEWHERE": str(elsewhere),
            "PYTHONPATH": str(dependencies(tmp_path / "dependencies")),
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # which is how pip reads `--no-build-isolation` from the environment
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
        check=False,
    )

    assert ended.returncode == 0, ended.stdout
    shown = [text for language, _, text in FENCE.findall(TUTORIAL.read_text(encoding="utf-8")) if language == "text"]
    lines = [line for text in shown for line in text.splitlines() if line.strip(". ")]
    printed = without_values(ended.stdout.replace(str(elsewhere), "/home/me"))
    wanted = [without_values(line.partition("...")[0]) for line in lines]
    assert [line for line in wanted if printed.count(line) < wanted.count(line)] == [], ended.stdout
    assert re.search(r"test loss 0\.\d+, accuracy 0\.9\d+", ended.stdout)
    assert len((elsewhere / "out/trials.csv").read_text(encoding="utf-8").splitlines()) == 1 + 20
    listed = (ROOT / "docs/reference/files.md").read_text(encoding="utf-8").replace("*", "")
    written = [path.name for folder in ("out", "state") for path in (elsewhere / folder).iterdir()]
    assert [name for name in written if name not in listed] == []
