"""Group slices that must stay in one part of a split."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def require_patients(table: pd.DataFrame, setting: str) -> None:
    """Refuse slices of unknown patients, which the setting cannot divide.

    Raises:
        ValueError: there are some.
    """
    if (table["case"] == "").any():
        raise ValueError(
            f"{setting}: the data names no patients. Give data.patient_pattern, or choose data.split=slice"
        )


def groups(table: pd.DataFrame, by_patient: bool) -> NDArray[np.intp]:
    """Return each row's group: rows with identical files, and if asked those of one patient, must stay together.

    Groups are numbered in the order in which they first appear.
    """
    files, _ = pd.factorize(table["digest"])
    if not by_patient:
        return files
    # Patients who share a file belong together, also through a third patient, and so do the names of one person.
    cases, names = pd.factorize(table.get("person", table["case"]))
    links = coo_array((np.ones(len(table)), (cases, files)), shape=(len(names), int(files.max()) + 1))
    shared = links @ links.T
    _, joined = connected_components(shared, directed=False)
    groups: NDArray[np.intp] = pd.factorize(joined[cases])[0]
    return groups
