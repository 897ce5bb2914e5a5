"""Where classifiers look."""

import pandas as pd

from brain_tumor.report.cells import Groups
from brain_tumor.report.page import Block, Heading, Picture, Table, Text
from brain_tumor.report.wording import flat, intervals
from brain_tumor.results.summary import split_title

_SHOWN = {
    "pointing": "points at it", "energy": "energy inside", "share": "mask's share of the picture", "iou": "IoU",
}  # fmt: skip


def chapter(groups: Groups) -> list[Block]:
    """Show heat maps' scores, of the newest evaluation of each classifier with them."""
    lines, pictures = [], []
    for run in groups.classifiers:
        for folder, maps in run.evaluations("explanation")[:1]:
            title = f"{run.title}, {split_title(run.record['split'])}, seed {run.seed}"
            for name, scores in {**maps["scores"], **maps["baselines"]}.items():
                kind = name if name in maps["scores"] else f"baseline: {name.replace('_', ' ')}"
                count = maps["slices"].get(name, maps["slices"]["all"])
                lines.append({"model": title, "slices": kind, "n": count, **flat(scores)})
            caption, method = f"{title}: where it looks on slices with a tumour (outlined).", maps["method"]
            pictures += Picture.of_data(f"{method}_{run.record['id']}", caption, folder / f"{method}.png")
    if not lines:
        return []
    table = pd.DataFrame(lines)
    slices = [f"{kind}, n={n}" for kind, n in table[["slices", "n"]].to_numpy()]
    shown = pd.DataFrame({"model": table["model"], "tumour slices": slices, **intervals(table, _SHOWN)})
    return [
        Heading("Where classifiers look"),
        Text(
            "Grad-CAM at the backbone's last block (`evaluate explain=gradcam`), on slices with a tumour. It points at "
            "the tumour where the map's maximum lies in the mask; energy is the share of the map inside the mask, to "
            "be read beside the mask's share of the picture, which an even map would have; the IoU's threshold comes "
            "from slices that are not tested. The baselines see no pixel."
        ),
        Table("explanations", shown, table),
        *pictures,
    ]
