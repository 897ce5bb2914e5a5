"""What Hydra and the environment say: the configuration, its types, names of runs, one-line errors, processes."""

import sys
from pathlib import Path

# Where Hydra finds the launcher `spark`. Here, because the processes that other launchers start import no command, but
# whatever of this room a command uses, and need the launcher on their path, too.
sys.path.append(str(Path(__file__).resolve().parents[1] / "cluster" / "plugins"))
