"""Where classifiers look."""

from brain_tumor.report.aggregates import Groups
from brain_tumor.report.formatting import flat, intervals
from brain_tumor.report.page import Block, Heading, Line, Picture, Table, Text
from brain_tumor.runs.summary import split_title

_SHOWN = {
    "pointing": "points at it", "energy": "energy inside", "share": "mask's share of the picture", "iou": "IoU",
}  # fmt: skip


def chapter(groups: Groups) -> list[Block]:
    """Show heat maps' scores, of the newest evaluation of each classifier with them."""
    lines: list[Line] = []
    pictures: list[Picture] = []
    for run, evaluation in ((run, run.evaluation("explanation")) for run in groups.classifiers):
        if evaluation:
            folder, maps = evaluation
            title, slices = f"{run.title}, {split_title(run.record['split'])}, seed {run.seed}", maps["slices"]
            baselines = {f"baseline: {name.replace('_', ' ')}": scores for name, scores in maps["baselines"].items()}
            for name, scores in {**maps["scores"], **baselines}.items():
                lines.append({"model": title, "slices": name, "n": slices.get(name, slices["all"]), **flat(scores)})
            caption = f"{title}: where it looks on slices with a tumour (outlined)."
            name = f"{maps['method']}_{run.record['id']}"
            pictures += Picture.of_data(name, caption, folder / f"{maps['method']}.png")
    if not lines:
        return []
    columns = {
        "model": "{model}",
        "tumour slices": "{slices}, n={n}",
        **intervals(_SHOWN),
    }
    return [
        Heading("Where classifiers look"),
        Text(
            "Grad-CAM at the backbone's last block (`evaluate explain=gradcam`), on slices with a tumour. It points at "
            "the tumour where the map's maximum lies in the mask; energy is the share of the map inside the mask, to "
            "be read beside the mask's share of the picture, which an even map would have; the IoU's threshold comes "
            "from slices that are not tested. The baselines see no pixel."
        ),
        Table.of("explanations", lines, columns),
        *pictures,
    ]
