"""The configuration: its keys and types, names of runs, processes and devices, one-line errors."""

import sys
from pathlib import Path

from brain_tumor.config import paper_rows as paper_rows  # which gives Hydra the group `paper`

# Hydra finds the launcher `spark` here. Processes that other launchers start import no command, but they import modules
# of this room that a command uses, and they also need the launcher on their path.
sys.path.append(str(Path(__file__).resolve().parents[1] / "cluster" / "plugins"))
