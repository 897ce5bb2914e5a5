"""List the pretrained models, or print the card of one.

python -m brain_tumor.models
python -m brain_tumor.models show lgg-localizer
"""

import difflib
import sys

from brain_tumor.models import named


def main(arguments: list[str]) -> str:
    """Return what the command prints.

    Args:
        arguments: none for the list, or "show" and a name.

    Raises:
        ValueError: they are anything else, there is no such model, or its card is not here.
    """
    if not arguments:
        return listing()
    if arguments[0] != "show" or len(arguments) != 2:
        raise ValueError(f"models {' '.join(arguments)}: write no argument for the list, or show NAME for a card")
    return card(arguments[1])


def listing() -> str:
    """Return a block of lines for each model."""
    blocks = []
    for model in named.models().values():
        here = next((str(path) for path in named.places(model) if path.is_file()), "not here; fetched when it is named")
        blocks.append(
            f"{model.name}  ({model.task}, {model.channels}, {model.bytes / 1e6:.1f} MB)\n"
            f"  trained on: {model.data}; started from {model.start}\n"
            f"  expected:   {model.expected}\n"
            f"  licence:    {model.licence}\n"
            f"  file:       {here}"
        )
    blocks.append("Research software, not a medical device. Use one by its name: predict run=NAME input=scan.nii.gz")
    return "\n\n".join(blocks)


def card(name: str) -> str:
    """Return a model's card in Markdown.

    Raises:
        ValueError: there is no such model, or its card is not here.
    """
    if name not in named.models():
        near = difflib.get_close_matches(name, named.models(), 1)
        meant = f"; is {near[0]} meant?" if near else ""
        raise ValueError(f"{name}: no such model; there are {', '.join(named.models())}{meant}")
    path = named.find(name).with_suffix(".md")
    try:
        return path.read_text(encoding="utf-8").rstrip()
    except OSError as error:
        raise ValueError(f"{path}: the card cannot be read ({error.strerror})") from error


if __name__ == "__main__":
    try:
        print(main(sys.argv[1:]))
    except ValueError as error:
        sys.exit(f"error: {error}")
