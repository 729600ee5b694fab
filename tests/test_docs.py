"""What the documentation says is run, looked up or built here, so that it stays true."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

import lrrt
import pipeline
import studies
from lrrt import Verdict
from pipeline import failures
from pipeline.cli import app
from pipeline.config.tables import StageConfig
from studies import FAMILIES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
ALL_PAGES = (ROOT / "README.md", *PAGES)
TASK = {"build_model": "my_task:build_model", "load_data": "my_task:load_data"}
# A block with a title is a file, or is for another folder.
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def read(page):
    return page.read_text(encoding="utf-8")


def blocks(page, language):
    """Give each block of code in a language, with what stands behind the language."""
    return [(head, text) for kind, head, text in FENCE.findall(read(page)) if kind == language]


def each_block(language):
    return [
        pytest.param(head, text, id=f"{page.relative_to(ROOT)}-{number}")
        for page in ALL_PAGES
        for number, (head, text) in enumerate(blocks(page, language))
    ]


def commands_in(text):
    """Give the arguments of each command `lrrt` in a block of shell, without what the shell does."""
    joined = text.replace("\\\n", " ")
    for line in re.findall(r"^\s*lrrt (.*)$", joined, flags=re.MULTILINE):
        words = shlex.split(line, comments=True)
        shell = [at for at, word in enumerate(words) if word in ("|", ">", "&&", "||")]
        yield words[: shell[0]] if shell else words


@pytest.fixture(scope="module")
def from_code():
    spec = importlib.util.spec_from_file_location("from_code", DOCS / "from_code.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "page", [page for page in PAGES if page.stem != "tutorial" and blocks(page, "python")], ids=str
)
def test_the_python_of_a_page_runs_from_its_top_to_its_end(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    for head, text in blocks(page, "python"):
        code = compile(text, page.name, "exec")
        if not head:
            exec(code, names)


@pytest.mark.parametrize(("head", "text"), each_block("sh"))
def test_every_command_is_one_that_there_is_with_options_that_it_has(head, text):
    commands = typer.main.get_command(app).commands

    for command, *arguments in commands_in(text):
        commands[command].make_context(command, arguments)


def test_every_block_of_code_is_of_a_language_whose_blocks_are_checked():
    fences = {(page.name, kind) for page in ALL_PAGES for kind in re.findall(r"^```(.*?)(?: .*)?$", read(page), re.M)}

    assert {kind for _, kind in fences} == {"", "sh", "python", "toml", "text"}
    for page in ALL_PAGES:
        lines = re.findall(r"^```.*$", read(page), re.M)
        assert all(lines[::2]), page
        assert [line for line in lines[::2] if line == "```"] == [], page


def test_every_script_and_target_that_is_named_is_there_with_its_options():
    targets = set(re.findall(r"^([a-z-]+):", read(ROOT / "Makefile"), re.M))
    named = [
        line.strip()
        for page in (*ALL_PAGES, ROOT / "CONTRIBUTING.md")
        for line in re.findall(r"^[^`#\n|]+$|`[^`\n]+`", read(page), re.M)
    ]
    commands = [line.strip("`").partition("#")[0] for line in named if re.match(r"`?(?:python|make) [\w-]", line)]
    scripts = [words for line in commands if (words := line.split())[0] == "python" and "/" in words[1]]

    assert len(scripts) > 10
    for _, script, *words in scripts:
        path = ROOT / script
        source = read(path / "__main__.py" if path.is_dir() else path)
        assert [word for word in words if word.startswith("--") and f'"{word}"' not in source] == [], script
    for line in commands:
        command, *words = line.split()
        assert command != "make" or {word for word in words if re.fullmatch("[a-z-]+", word)} <= targets, line


@pytest.mark.parametrize(("head", "text"), each_block("toml"))
def test_every_config_is_valid(head, text):
    StageConfig.model_validate({"task": TASK, **tomllib.loads(text)})


def test_every_verdict_has_a_section():
    assert re.findall(r"^## (\w+)$", read(DOCS / "howto/verdicts.md"), flags=re.MULTILINE) == [
        verdict.name for verdict in Verdict
    ]


def test_every_key_of_the_config_is_in_its_reference_with_a_meaning(from_code):
    shown = from_code.on_page_markdown(read(DOCS / "reference/config.md"))

    for table in StageConfig.model_fields.values():
        for key in table.annotation.model_fields:
            assert re.search(rf"^\| `{key}` \| .+ \| .+ \|$", shown, flags=re.MULTILINE), key


def test_every_command_is_in_its_reference_with_its_options(from_code):
    shown = from_code.on_page_markdown(read(DOCS / "reference/command.md"))

    for name, command in typer.main.get_command(app).commands.items():
        section = re.search(rf"^## lrrt {name}$(.*?)(?=^## |\Z)", shown, flags=re.MULTILINE | re.DOTALL)[1]
        options = [one.opts[0] for one in command.params if one.param_type_name == "option" and not one.hidden]
        assert [option for option in options if f"`{option}" not in section] == []


def test_every_exit_code_is_in_its_reference_with_what_a_script_should_do(from_code):
    shown = from_code.on_page_markdown(read(DOCS / "reference/exit-codes.md"))
    codes = {value for name, value in vars(failures).items() if name.isupper() and isinstance(value, int)}

    assert {int(code) for code in re.findall(r"^\| (\d+) \|", shown, flags=re.MULTILINE)} == {0, *codes}
    assert set(failures.WHAT_TO_DO) == {0, *codes}


def test_every_schedule_is_explained_with_its_picture(from_code):
    shown = from_code.on_page_markdown(read(DOCS / "explanation/schedules.md"))

    assert re.findall(r"^## (\w+)$", shown, flags=re.MULTILINE) == list(FAMILIES)
    assert {picture.stem for picture in (DOCS / "schedules").glob("*.png")} == set(FAMILIES)


def test_every_file_named_is_there():
    named = {
        name
        for page in PAGES
        for name in re.findall(r"`((?:examples|benchmarks|deploy|lrrt|docs)/[\w./]*)`", read(page))
    }

    assert named
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_the_first_page_leads_to_every_other():
    linked = {(DOCS / link).resolve() for link in re.findall(r"\]\(([^)#]+\.md)\)", read(DOCS / "index.md"))}

    assert {page.resolve() for page in PAGES} - linked == {DOCS / "index.md"}


def test_every_link_between_pages_leads_to_a_file():
    for page in PAGES:
        for link in re.findall(r"\]\(([^)]+)\)", read(page)):
            if not link.startswith("https://"):
                assert (page.parent / link.partition("#")[0]).exists(), f"{page.name}: {link}"


def test_the_pages_are_built_without_a_warning(tmp_path):
    pytest.importorskip("material", reason="the documentation is built where mkdocs-material is installed")
    pytest.importorskip("mkdocstrings", reason="the documentation is built where mkdocstrings is installed")
    build = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert build.returncode == 0, build.stdout + build.stderr
    for package in (lrrt, studies, pipeline):
        page = (tmp_path / f"reference/{package.__name__}.html").read_text(encoding="utf-8")
        missing = [name for name in package.__all__ if f'id="{package.__name__}.{name}' not in page]
        assert missing == [], package.__name__
