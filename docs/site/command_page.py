"""The command line, from the command itself."""

from __future__ import annotations

from typing import Any

from typer.main import get_command

from flaxlayer_testing.cli.app import app

__all__ = ["command_page"]

_NAME = "flaxlayer-conformance"


def command_page() -> dict[str, str]:
    """Returns the page of the command, by its place."""
    group: Any = get_command(app)
    parts = [
        f"# The command `{_NAME}`",
        group.help,
        "It reads defaults from `[tool.flaxlayer]` of the nearest `pyproject.toml` "
        "([what a project sets](../checking.md#what-a-project-sets)). "
        "`KERAS_BACKEND` chooses the backend; JAX where nothing does.",
    ]
    for name, command in group.commands.items():
        arguments = [p.name.upper() for p in command.params if _is_argument(p)]
        usage = " ".join([_NAME, name, *arguments, "[OPTION]..."])
        parts += [f"## {name}", command.help, f"```sh\n{usage}\n```", _table(command)]
    return {"api/command.md": "\n\n".join(parts) + "\n"}


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _table(command: Any) -> str:
    rows = [f"| {_names(p)} | {_about(p)} |" for p in command.params]
    return "\n".join(["| option | what it does |", "| --- | --- |", *rows])


def _names(parameter: Any) -> str:
    if _is_argument(parameter):
        return f"`{parameter.name.upper()}`"
    return ", ".join(f"`{name}`" for name in parameter.opts)


def _about(parameter: Any) -> str:
    text = (parameter.help or "").replace("|", "\\|").replace("<", "&lt;")
    default = parameter.default
    if default in (None, False, ()) or not isinstance(default, (str, int)):
        return text
    return f"{text} Default: `{default}`."
