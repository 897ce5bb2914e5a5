"""Silence messages of libraries that do not help users of these commands."""

import logging
import warnings


def quieten_lightning() -> None:
    """Silence Lightning's messages about hardware and products, and its advice that does not apply here."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    # The loaders yield row numbers only; workers would slow them down.
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    # Lightning 2.6 still asks torch's older question.
    warnings.filterwarnings("ignore", ".*isinstance.treespec, LeafSpec.*")
    # A frozen backbone is meant to be in eval mode.
    warnings.filterwarnings("ignore", ".*in eval mode at the start of training.*")
    # A resumed run continues its files.
    warnings.filterwarnings("ignore", ".*exists and is not empty.*")
    # Slurm may be installed on a machine where a run is started without it.
    warnings.filterwarnings("ignore", ".*`srun` command is available on your system but is not used.*")
    # Small data may have fewer batches than the interval of step-wise logging, which is not used.
    warnings.filterwarnings("ignore", ".*smaller than the logging interval.*")


def quieten_readers() -> None:
    """Silence messages about damaged files: the tables say which files failed, and why."""
    logging.getLogger("pydicom").propagate = False  # its level would not last: importing pydicom sets it
    for name in ("PIL", "nibabel", "pydicom"):
        warnings.filterwarnings("ignore", module=name)
