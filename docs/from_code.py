"""Write the parts of the documentation that are drawn from the code: MkDocs calls this file when it builds a page.

A line `<!-- from the code: NAME -->` in a page is replaced by what the function of that name below returns. So options,
keys, exit codes and formulas cannot differ from those of the version that the pages are built with.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, get_args

PLACE = re.compile(r"<!-- from the code: ([a-z-]+) -->")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill a page; MkDocs calls this for each."""
    return PLACE.sub(lambda place: TEXTS[place[1]](), markdown)


def config() -> str:
    """Return one table of keys for each table of the config, with defaults and meanings."""
    from pipeline.config.tables import StageConfig

    parts = []
    for name, table in StageConfig.model_fields.items():
        kind: Any = table.annotation
        rows = [
            f"| `{key}` | {_default(field)} | {_cell(field.description)} |" for key, field in kind.model_fields.items()
        ]
        parts.append("\n".join([f"## [{name}]", "", kind.__doc__, "", "| key | default | |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)


def template() -> str:
    """Return what `lrrt init` prints."""
    from pipeline.config.toml import template as text

    return f"```toml\n{text().rstrip()}\n```"


def commands() -> str:
    """Return a section for each command: what it is for, an example, its options."""
    import typer

    from pipeline.cli import COMMANDS, app

    parts = []
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        arguments = [one for one in command.params if one.param_type_name == "argument"]
        options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
        usage = " ".join([f"lrrt {name}", *map(_takes, arguments)])
        rows = [_row(one) for one in (*arguments, *options)]
        table = ["| | default | |", "|---|---|---|", *rows] if rows else ["It has no options."]
        head = [f"## lrrt {name}", "", (command.help or "").strip(), "", f"Usage: `{usage} [OPTIONS]`", ""]
        parts.append("\n".join([*head, f"Example: `{COMMANDS[name][2]}`", "", *table]))
    return "\n\n".join(parts)


def exit_codes() -> str:
    """Return the table of exit codes, with the failures that end with each."""
    from pipeline import failures

    meanings = defaultdict(list, {0: ["Done, or nothing was left to do."]})
    for failure in _subclasses(failures.Failure):
        meanings[failure.exit_code].append(_sentence(failure))
    for failure in _subclasses(failures.Stopped):
        meanings[failure.exit_code].append(_sentence(failure))
    meanings[failures.OUR_BUG].append("A fault of lrrt.")
    for name, code in failures.FAILURES_OF_OTHERS.items():
        meanings[code].append(f"`{name.rpartition('.')[2]}`")
    meanings[failures.NEEDS_REPAIR].append("The disk is full or broken, or a folder may not be written to.")
    rows = [
        f"| {code} | {'<br>'.join(texts)} | {failures.WHAT_TO_DO[code]} |" for code, texts in sorted(meanings.items())
    ]
    return "\n".join(["| code | it means | a script should |", "|---|---|---|", *rows])


def schedules() -> str:
    """Return a section for each family of schedules: formula, source, parameters, picture."""
    from studies.schedules.families import FAMILIES

    parts = []
    for name, family in FAMILIES.items():
        formula, mark, rest = re.match(r"(.*?)(: |\. |$)(.*)", family.description).groups()  # type: ignore[union-attr]
        told = f"`{formula}`{mark}{rest}" if formula.startswith("rate =") else family.description
        rows = [
            f"| `{name}__{one.name}` | {one.low:g} to {one.high:g} | {one.default:g} | {_traits(one)} |"
            for one in family.parameters
        ]
        parameters = ["| parameter | from, to | default | |", "|---|---|---|---|", *rows] if rows else []
        picture = f"![The rates of {name} over a training](../schedules/{name}.png)"
        parts.append("\n".join([f"## {name}", "", told, "", picture, "", *parameters]))
    return "\n\n".join(parts)


def overfitting_verdicts() -> str:
    """Return what check_overfitting may say, in its own words."""
    from studies import OverfitVerdict

    return "\n".join(f"- **{verdict.name}**: {verdict.value}." for verdict in OverfitVerdict)


def _row(parameter: Any) -> str:
    is_argument = parameter.param_type_name == "argument"
    name = _takes(parameter) if is_argument else ", ".join(parameter.opts)
    takes = "" if is_argument or parameter.is_flag else f" {_takes(parameter)}"
    default = "" if parameter.default in (None, False) or parameter.required else f"`{parameter.default}`"
    return f"| `{_cell(name + takes)}` | {default} | {_cell(parameter.help)} |"


def _takes(parameter: Any) -> str:
    """Return what stands for a parameter's value: its metavar, or its choices, or its name."""
    annotation = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
    choices = get_args(annotation) or getattr(getattr(parameter, "type", None), "choices", ())  # typer 0.20 has `type`
    text = parameter.metavar or "/".join(choices) or parameter.name.upper()
    return text if parameter.required or parameter.param_type_name == "option" else f"[{text}]"


def _subclasses(kind: type[Any]) -> Iterator[type[Any]]:
    for one in kind.__subclasses__():
        yield one
        yield from _subclasses(one)


def _sentence(failure: type[Any]) -> str:
    text = (failure.__doc__ or failure.__name__).split("\n\n")[0].strip().rstrip(".")
    return f"{text}."


def _default(field: Any) -> str:
    if field.is_required():
        return "must be given"
    value = "none" if field.default is None else field.default
    return f"`{json.dumps(value)}`"


def _traits(parameter: Any) -> str:
    traits = ["whole numbers" if parameter.integer else "", "on a logarithmic scale" if parameter.log else ""]
    return ", ".join(trait for trait in traits if trait)


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|").replace("<", "&lt;")


TEXTS: dict[str, Callable[[], str]] = {
    "config": config,
    "template": template,
    "commands": commands,
    "exit-codes": exit_codes,
    "schedules": schedules,
    "overfitting-verdicts": overfitting_verdicts,
}
