"""How every command begins and ends."""

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
    """Run a Hydra main function; what a user can mend ends in one line and exit code 1.

    HYDRA_FULL_ERROR=1 shows the whole traceback, as in every Hydra program.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show ends nothing
    if not Path(CONF).is_dir():
        sys.exit(f"error: {CONF}: the configuration is missing; install brain_tumor again")
    asked = os.environ.get("HYDRA_FULL_ERROR", "0")
    # Makes Hydra hand errors on instead of printing them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        sys.argv[1:] = [names.quote(argument) for argument in sys.argv[1:]]
        main()
    except (ValueError, OSError, HydraException, OmegaConfBaseException) as error:
        if asked == "1":
            raise
        sys.exit(f"error: {one_line(error)}")
    finally:
        os.environ["HYDRA_FULL_ERROR"] = asked
