"""Read variables of MATLAB files, of version 7.3 (HDF5, by h5py) and 5 (by scipy) alike."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np


def read_variable(path: Path, name: str, only: tuple[str, ...]) -> Any:
    """Read a variable of a MATLAB file of version 7.3 or 5.

    Args:
        path: the file.
        name: the variable's name.
        only: the fields to read, if the variable is a structure.

    Returns:
        An array; a dictionary of arrays for a structure, without fields that it lacks; None without the variable.

    Raises:
        ValueError: the file cannot be read, is damaged, or is no MATLAB file.
    """
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}). Check its permissions") from error
    broken = f"{path}: cut short, or no MATLAB file of version 7.3 or 5. Restore it, or save it anew by save -v7.3"
    try:
        # HDF5's signature follows MATLAB's header of 0, 512, 1024, ... bytes.
        if any(head[start : start + 8] == b"\x89HDF\r\n\x1a\n" for start in (0, 512)):
            return _read_hdf5(path, name, only)
        if head[124:128] in {b"\x00\x01IM", b"\x01\x00MI"}:
            return _read_version_5(path, name, only)
    except (OSError, KeyError, TypeError, ValueError, IndexError, AttributeError, EOFError, RuntimeError, zlib.error):
        raise ValueError(broken) from None
    raise ValueError(broken)


def _read_hdf5(path: Path, name: str, only: tuple[str, ...]) -> Any:
    import h5py

    with h5py.File(path, "r") as file:
        node = file.get(name)
        if isinstance(node, h5py.Dataset):
            return node[()].T
        if node is None:
            return None
        return {key: node[key][()].T for key in only if isinstance(node.get(key), h5py.Dataset)}


def _read_version_5(path: Path, name: str, only: tuple[str, ...]) -> Any:
    from scipy.io import loadmat

    variable = loadmat(path, variable_names=[name]).get(name)
    if variable is None or variable.dtype.names is None:
        return variable
    return {key: variable[0, 0][key] for key in only if key in variable.dtype.names}


def text(value: Any) -> str:
    """Return the text of a MATLAB char array, which h5py reads as codes and scipy as text."""
    values = np.asarray(value)
    if values.dtype.kind in "ui":
        return "".join(chr(int(code)) for code in values.ravel()).strip()
    return "".join(map(str, values.ravel())).strip()
