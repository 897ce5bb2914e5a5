"""Write what TensorBoard's HParams shows of a run."""

from collections.abc import Mapping

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from brain_tumor.metrics.bootstrap import Interval


def write_hparams(
    writer: SummaryWriter,
    hyperparameters: Mapping[str, bool | int | float | str],
    scores: Mapping[str, Interval],
) -> None:
    """Give a run its row in HParams: its settings, and every defined score as `final/<name>`.

    Unlike SummaryWriter.add_hparams, no list of columns is written: TensorBoard takes the first run's list for all,
    and without one shows the union of what the runs have, so that runs of unlike tasks stand side by side.
    """
    for name, interval in scores.items():
        if interval["value"] is not None:
            writer.add_scalar(f"final/{name}", interval["value"], 0)
    _, start, end = hparams(dict(hyperparameters), {})  # type: ignore[no-untyped-call]
    assert writer.file_writer is not None, "a closed writer is opened again by add_scalar"
    writer.file_writer.add_summary(start)
    writer.file_writer.add_summary(end)
