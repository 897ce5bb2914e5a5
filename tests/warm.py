"""Commands in processes of their own that need not load their libraries first: forked from one that has.

Loading torch and Lightning takes longer than most commands work in the tests. What is run is the module as `python -m`
runs it: its own interpreter state, folder, arguments, output and exit code. Nothing of brain_tumor is loaded before.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

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

    def start(self, module: str, arguments: Sequence[str], cwd: Path) -> "Running":
        """Start `python -m module arguments` in a folder; several can run at once."""
        folder = tempfile.TemporaryDirectory()
        files = [str(Path(folder.name, name)) for name in ("stdout", "stderr")]
        request = {"module": module, "arguments": list(arguments), "cwd": str(cwd), "files": files}
        return Running(self, self.ask({"start": request}), [module, *arguments], folder)

    def run(self, module: str, arguments: Sequence[str], cwd: Path) -> subprocess.CompletedProcess[str]:
        """Run `python -m module arguments` in a folder."""
        return self.start(module, arguments, cwd).wait()

    def ask(self, request: Mapping[str, Any]) -> Any:
        """Return what the process answers."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._server.communicate()


class Running:
    """A command under way, which can be killed for real.

    Args:
        interpreter: that has started it.
        pid: of its process.
        line: the command.
        folder: of the files that hold its output.
    """

    def __init__(
        self, interpreter: Interpreter, pid: int, line: list[str], folder: "tempfile.TemporaryDirectory[str]"
    ) -> None:
        self._interpreter, self._pid, self._line, self._folder = interpreter, pid, line, folder

    def wait(self) -> subprocess.CompletedProcess[str]:
        """Wait until it has ended, and return how."""
        return self._ended(self._interpreter.ask({"wait": self._pid, "options": 0}))

    def kill_when(self, reached: Callable[[], object]) -> None:
        """Kill it as `kill -9` does as soon as something is reached, which must be before it ends by itself."""
        while not reached():
            code = self._interpreter.ask({"wait": self._pid, "options": os.WNOHANG})
            assert code is None, self._ended(code).stderr
            time.sleep(0.01)
        os.kill(self._pid, signal.SIGKILL)
        assert self.wait().returncode == -signal.SIGKILL, "it had ended before"

    def _ended(self, code: int) -> subprocess.CompletedProcess[str]:
        texts = [Path(self._folder.name, name).read_text(errors="backslashreplace") for name in ("stdout", "stderr")]
        self._folder.cleanup()
        return subprocess.CompletedProcess(self._line, code, *texts)


def _serve() -> None:
    for library in _LIBRARIES:
        __import__(library)
    gc.freeze()  # so that no command looks through the libraries' objects
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            answer: int | None = os.fork()
            if not answer:
                _become(**request["start"])
        else:
            pid, status = os.waitpid(request["wait"], request["options"])
            answer = os.waitstatus_to_exitcode(status) if pid else None
        print(json.dumps(answer), flush=True)
    os._exit(0)


def _become(module: str, arguments: Sequence[str], cwd: str, files: Sequence[str]) -> NoReturn:
    os.chdir(cwd)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, file in enumerate(files, 1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), number)
    sys.path[0], sys.argv[1:] = cwd, arguments
    code = _exit_code(module)
    # What Python does at its end, except that it would then free the libraries' objects, which takes a second or two.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _exit_code(module: str) -> int:
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):
            return ended.code or 0
        print(ended.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


if __name__ == "__main__":
    _serve()
