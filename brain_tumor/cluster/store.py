"""Upload finished run folders to an object store, which has no locks and cannot rename."""

from pathlib import Path

from brain_tumor.cluster.files import open_url

_LAST = "results.json"  # uploaded last, so that a folder with it is complete


def holds(url: str, name: str) -> bool:
    """Return whether the store has the folder of a finished run of that name."""
    from pyarrow.fs import FileType

    system, home = open_url(url)
    return bool(system.get_file_info(f"{home.rstrip('/')}/{name}/{_LAST}").type == FileType.File)


def upload(folder: Path, url: str) -> None:
    """Upload a run's folder, its record last; a failed run has no record, and its other files are uploaded."""
    system, home = open_url(url)
    files = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.name == _LAST)
    for path in files:
        target = f"{home.rstrip('/')}/{folder.name}/{path.relative_to(folder).as_posix()}"
        system.create_dir(target.rpartition("/")[0], recursive=True)
        with path.open("rb") as source, system.open_output_stream(target) as sink:
            while block := source.read(2**22):
                sink.write(block)
