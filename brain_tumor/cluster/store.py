"""An object store: run folders put there when they are finished. It has no locks and renames nothing."""

from pathlib import Path

from brain_tumor.cluster.files import open_url

_LAST = "results.json"  # whoever sees it sees the whole folder


def holds(url: str, name: str) -> bool:
    """Return whether a finished run's folder of that name is there."""
    from pyarrow.fs import FileType

    system, home = open_url(url)
    return bool(system.get_file_info(f"{home.rstrip('/')}/{name}/{_LAST}").type == FileType.File)


def upload(folder: Path, url: str) -> None:
    """Put a run's folder there, its record last; of a run that has failed what it has left."""
    system, home = open_url(url)
    files = sorted((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.name == _LAST)
    for path in files:
        target = f"{home.rstrip('/')}/{folder.name}/{path.relative_to(folder).as_posix()}"
        system.create_dir(target.rpartition("/")[0], recursive=True)
        with path.open("rb") as source, system.open_output_stream(target) as sink:
            while block := source.read(2**22):
                sink.write(block)
