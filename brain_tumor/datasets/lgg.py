"""Fetch and list the LGG Segmentation Dataset, and compare a copy of it with the published files.

Buda, Saha, Mazurowski, "Association of genomic subtypes of lower-grade gliomas with shape features automatically
extracted by a deep learning algorithm", Computers in Biology and Medicine 2019; CC BY-NC-SA 4.0.
"""

import base64
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pandas as pd
from filelock import FileLock

from brain_tumor.datasets import kaggle_3m
from brain_tumor.datasets.base import DataSet, Listing, Published
from brain_tumor.io import atomic

HANDLE = "mateuszbuda/lgg-mri-segmentation"
# Columns of data.csv with the type of a patient's tumour, as codes without a published legend.
TARGETS = (
    "histological_type", "neoplasm_histologic_grade", "RNASeqCluster", "MethylationCluster", "miRNACluster",
    "CNCluster", "RPPACluster", "OncosignCluster", "COCCluster",
)  # fmt: skip
BYTES = 8  # of each SHA-256 are stored in the package; 64 bits show any accidental change


class Lgg(DataSet):
    """The LGG Segmentation Dataset: 3,929 slices of 110 patients, the paper's data.

    Args:
        root: the folder that holds `kaggle_3m/`, or `kaggle_3m` itself; fetched if it is missing.
    """

    name = "lgg"
    sequences = ("t1", "flair", "t1ce")
    slice_mm = 5.0  # assumed: it is not published, and typical of such scans
    licence = "CC BY-NC-SA 4.0 (LGG Segmentation Dataset; Buda, Saha, Mazurowski 2019)"
    of_the_paper = True
    site = "^TCGA_([A-Z0-9]+)_"
    # Dice per volume by the authors over all 110 patients and by human readers, and AUROC for a target of patients.
    published = (
        Published(
            "segmentation",
            "Buda et al. 2019, U-Net",
            "folds by patient, all 110",
            {"dice": 0.82, "dice_median": 0.85},
        ),
        Published("segmentation", "human readers, 84 ± 2 % (Buda et al. 2019)", "", {"dice": 0.84}),
        Published(
            "classification",
            "pretrained on glioblastoma (PMC8017403)",
            "by patient",
            {"AUROC of 2": ".73 (.61 to .84)"},
            target="COCCluster",
        ),
        Published("classification", "ImageNet (PMC8017403)", "by patient", {"AUROC of 2": ".640"}, target="COCCluster"),
    )

    def __init__(self, *, root: str) -> None:
        self.root: Path = Path(root).expanduser()

    def listing(self) -> Listing:
        """List the slices with the patients' properties; fetch the data set first if it is missing."""
        fetch(self.root)
        listing = kaggle_3m.list_slices(self.root)
        return replace(listing, patients=patients(listing.root, set(listing.table["case"])))

    def differences(self, listing: Listing) -> list[str]:
        """Compare every file with the published one."""
        return compare(listing.root)


def fetch(root: Path) -> None:
    """Download the data set into `root` with kagglehub, unless it is there.

    Raises:
        ValueError: `root` holds something else, or the download failed; the message says how to fetch it by hand.
    """
    by_hand = f"Download it in a browser from kaggle.com/datasets/{HANDLE}, unzip it, and give the folder as data.root"
    if _filled(root):
        if not kaggle_3m.find_trees(root):
            raise ValueError(f"data.root={root}: no kaggle_3m folder with case folders of .tif slices there. {by_hand}")
        return
    import kagglehub

    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.parent / f"{root.name}.lock"):
        if _filled(root):  # another process was first
            return
        try:
            with atomic.folder(root.parent, root.name) as temporary:
                kagglehub.dataset_download(HANDLE, output_dir=str(temporary))
                if root.is_dir():
                    root.rmdir()
                temporary.rename(root)
        except Exception as error:
            # kagglehub raises whatever its HTTP client, its unzipper and Kaggle's servers raise.
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            raise ValueError(
                f"data.root={root}: the LGG data is not there and cannot be fetched ({reason}). {by_hand}"
            ) from error


def patients(tree: Path, cases: set[str]) -> pd.DataFrame:
    """Read the types of the patients' tumours from data.csv, which lies in the tree or beside it.

    Args:
        tree: the `kaggle_3m` folder.
        cases: the cases to return.

    Returns:
        One row per case and one column for each of `TARGETS`: codes as text, "" for none; no columns without the file.

    Raises:
        ValueError: the file is damaged, or lacks a column.
    """
    path = next((path for path in (tree / "data.csv", tree.parent / "data.csv") if path.is_file()), None)
    if path is None:
        return pd.DataFrame(index=sorted(cases))
    try:
        separator = ";" if ";" in path.read_text().partition("\n")[0] else ","
        table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: damaged or unreadable ({' '.join(str(error).split())}). Restore it") from error
    if missing := {"Patient", *TARGETS} - set(table):
        raise ValueError(f"{path}: has no column {min(missing)}. Restore the published file, or remove it")
    # A case's name is its patient's name and a date.
    names = pd.Series({case: case.rpartition("_")[0] for case in sorted(cases)})
    values = table.drop_duplicates("Patient").set_index("Patient")[list(TARGETS)].reindex(names).fillna("")
    # In some copies of the file, codes have a decimal point.
    plain: pd.DataFrame = values.apply(lambda column: column.str.strip().str.removesuffix(".0")).set_axis(names.index)
    return plain


def _filled(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())


def published() -> dict[str, str]:
    """Return the first 16 hexadecimal digits of every published file's SHA-256, by path under `kaggle_3m/`."""
    text = resources.files("brain_tumor.datasets").joinpath("lgg_sha256.txt").read_text()
    digests: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        case, count, encoded = line.split()
        blob = base64.b64decode(encoded)
        names = [f"{case}/{case}_{n}{kind}.tif" for n in range(1, int(count) + 1) for kind in ("", "_mask")]
        digests |= {name: blob[i * BYTES : (i + 1) * BYTES].hex() for i, name in enumerate(names)}
    return digests


def compare(tree: Path) -> list[str]:
    """Return the differences between `tree` (a `kaggle_3m` folder) and the published files, one line each."""
    expected = published()
    present = {path.relative_to(tree).as_posix(): path for path in tree.glob("*/*") if path.is_file()}

    def differs(name: str) -> bool:
        return hashlib.sha256(present[name].read_bytes()).hexdigest()[: 2 * BYTES] != expected[name]

    shared = sorted(expected.keys() & present.keys())
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        changed = [name for name, change in zip(shared, pool.map(differs, shared), strict=True) if change]
    return [
        *(f"{tree / name}: missing, though published" for name in sorted(expected.keys() - present.keys())),
        *(f"{tree / name}: not the published content" for name in changed),
        *(f"{path}: not among the published files" for name, path in sorted(present.items()) if name not in expected),
    ]
