"""Commands in processes of their own that need not load their libraries first: forked from one that has.

Loading torch and Lightning takes longer than most commands work in the tests. What is run is the module as `python -m`
runs it: its own interpreter state, folder, arguments, output and exit code. Nothing of brain_tumor is loaded before.
"""

import json
import os
import runpy
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_LIBRARIES = (
    "lightning", "torchvision", "torch.utils.tensorboard", "segmentation_models_pytorch", "hydra", "pandas",
    "matplotlib.figure", "scipy.ndimage", "PIL.Image",
)  # fmt: skip


class Interpreter:
    """A process that has loaded the libraries, and forks another for each command.

    Args:
        environment: of all commands.
        options: of Python, such as -W.
    """

    def __init__(self, environment: Mapping[str, str], options: Sequence[str]) -> None:
        self._server = subprocess.Popen(
            [sys.executable, *options, __file__],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, module: str, arguments: Sequence[str], cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run `python -m module arguments` in a folder."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            files = [str(Path(folder, name)) for name in ("stdout", "stderr")]
            request = {"module": module, "arguments": list(arguments), "cwd": str(cwd), "files": files}
            self._server.stdin.write(json.dumps(request) + "\n")
            self._server.stdin.flush()
            code = int(self._server.stdout.readline())
            texts = [Path(file).read_text(errors="backslashreplace") for file in files]
        return subprocess.CompletedProcess([module, *arguments], code, *texts)

    def close(self) -> None:
        """End the process."""
        self._server.communicate()


def _serve() -> None:
    for library in _LIBRARIES:
        __import__(library)
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if not child:
            _become(**request)
            return
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _become(module: str, arguments: Sequence[str], cwd: str, files: Sequence[str]) -> Any:
    os.chdir(cwd)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    sys.path[0], sys.argv[1:] = cwd, arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve()
