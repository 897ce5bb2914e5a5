"""The command `brain-tumor`: it starts the others, which are also `python -m brain_tumor.<command>`.

brain-tumor train model=resnet50
brain-tumor completion bash
"""

import ast
import runpy
import sys
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

_MODULES = {
    name: f"brain_tumor.{name}"
    for name in (
        "train", "evaluate", "predict", "report", "export", "export_dataset", "verify", "intervals", "benchmark",
        "page", "models",
    )
} | {"score": "brain_tumor.cluster.score"}  # fmt: skip
_USAGE = """brain-tumor COMMAND [key=value ...]     what each command takes: brain-tumor COMMAND --help

{commands}
{completion}  Print the completion of commands, groups and keys for bash: eval "$(brain-tumor completion bash)"
"""


def main() -> None:
    """Start the command that the first argument names."""
    command, *arguments = sys.argv[1:] or ["--help"]
    if command in {"--help", "-h", "help"}:
        print(usage(), end="")
    elif command == "completion":
        print(_completion(arguments), end="")
    elif command in _MODULES:
        sys.argv[1:] = arguments
        runpy.run_module(_MODULES[command], run_name="__main__", alter_sys=True)
    else:
        sys.exit(f"error: brain-tumor {command}: no such command; choose one of {', '.join(_MODULES)}")


def usage() -> str:
    """Return the list of commands, each with the first line of its module."""
    width = max(map(len, [*_MODULES, "completion"]))
    commands = "\n".join(f"{name:{width}}  {_first_line(module)}" for name, module in _MODULES.items())
    return _USAGE.format(commands=commands, completion=f"{'completion':{width}}")


def _first_line(module: str) -> str:
    """Return the first line of a module without importing it, which would take seconds for all of them."""
    spec = find_spec(module)
    if spec is not None and spec.submodule_search_locations:
        spec = find_spec(f"{module}.__main__")
    assert spec is not None
    assert spec.origin is not None
    text = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8")))
    assert text, "every command says what it does"
    return text.splitlines()[0]


def _completion(arguments: list[str]) -> str:
    """Return the completion for a shell."""
    if arguments != ["bash"]:
        sys.exit("error: brain-tumor completion: only bash is known; write: brain-tumor completion bash")
    script = resources.files("brain_tumor.config").joinpath("completion.bash").read_text(encoding="utf-8")
    return script.replace("@COMMANDS@", " ".join([*_MODULES, "completion"]))
