"""Start every command, and end it with one line if it fails."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from brain_tumor.config import names
from brain_tumor.config.errors import one_line
from brain_tumor.config.typed import CONF


def enter(main: Callable[[], Any]) -> None:
    """Run a Hydra main function; an error that a user can correct ends in one line and exit code 1.

    HYDRA_FULL_ERROR=1 shows the whole traceback, as in every Hydra program.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                errors="backslashreplace"
            )  # so that a name which the terminal cannot show raises nothing
    if not Path(CONF).is_dir():
        sys.exit(f"error: {CONF}: the configuration is missing; install brain_tumor again")
    full_error = os.environ.get("HYDRA_FULL_ERROR", "0")
    # Hydra then raises errors instead of printing them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        sys.argv[1:] = [names.quote(argument) for argument in sys.argv[1:]]
        main()
    except (ValueError, OSError, HydraException, OmegaConfBaseException) as error:
        if full_error == "1":
            raise
        sys.exit(f"error: {one_line(error)}")
    finally:
        os.environ["HYDRA_FULL_ERROR"] = full_error
