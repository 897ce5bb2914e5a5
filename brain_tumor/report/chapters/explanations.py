"""Score the heat maps of classifiers."""

from brain_tumor.report.aggregates import Groups
from brain_tumor.report.formatting import flat, intervals
from brain_tumor.report.page import Block, Heading, Line, Picture, Table, Text
from brain_tumor.runs.summary import split_title

_SHOWN = {
    "pointing": "pointing game", "energy": "energy inside", "share": "mask's share of the picture", "iou": "IoU",
}  # fmt: skip


def chapter(groups: Groups) -> list[Block]:
    """Show the scores of heat maps, from the newest evaluation of each classifier that has them."""
    lines: list[Line] = []
    pictures: list[Picture] = []
    for run, evaluation in ((run, run.evaluation("explanation")) for run in groups.classifiers):
        if evaluation:
            folder, maps = evaluation
            title, slices = f"{run.title}, {split_title(run.record['split'])}, seed {run.seed}", maps["slices"]
            baselines = {f"baseline: {name.replace('_', ' ')}": scores for name, scores in maps["baselines"].items()}
            for name, scores in {**maps["scores"], **baselines}.items():
                lines.append({"model": title, "slices": name, "n": slices.get(name, slices["all"]), **flat(scores)})
            caption = f"{title}: heat maps on slices with a tumour (outlined)."
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
            "Grad-CAM at the backbone's last block (`evaluate explain=gradcam`), on slices with a tumour. The pointing "
            "game is won where the map's maximum lies in the mask. Energy is the share of the map inside the mask; "
            "compare it with the mask's share of the picture, which is the energy of an even map. The threshold of "
            "the IoU is chosen on slices that are not tested. The baselines are image-free."
        ),
        Table.of("explanations", lines, columns),
        *pictures,
    ]
