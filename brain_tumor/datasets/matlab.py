"""Read variables of MATLAB files, of version 7.3 (HDF5, by h5py) and 5 (by scipy) alike."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np


def read_variable(path: Path, name: str, only: tuple[str, ...]) -> Any:
    """Return a variable of a MATLAB file of version 7.3 or 5, a structure as a dictionary; None where it has none."""
    try:
        with path.open("rb") as file:
            head = file.read(1024)
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror}). Check its permissions") from error
    broken = f"{path}: cut short, or no MATLAB file of version 7.3 or 5. Restore it, or save it anew by save -v7.3"
    try:
        # HDF5's signature lies after a block of 0, 512, 1024, ... bytes of MATLAB's own.
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

    found = loadmat(path, variable_names=[name]).get(name)
    if found is None or found.dtype.names is None:
        return found
    return {key: found[0, 0][key] for key in only if key in found.dtype.names}


def text(value: Any) -> str:
    """Return what a MATLAB char array says: h5py gives its codes, scipy its text."""
    values = np.asarray(value)
    if values.dtype.kind in "ui":
        return "".join(chr(int(code)) for code in values.ravel()).strip()
    return "".join(map(str, values.ravel())).strip()
