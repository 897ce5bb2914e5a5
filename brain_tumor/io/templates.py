"""Fill the templates that lie beside the modules that use them."""

from collections.abc import Callable, Mapping
from typing import Any

import jinja2


def render(room: str, name: str, values: Mapping[str, Any], **filters: Callable[[Any], str]) -> str:
    """Return a template of a room, such as "report", filled; what goes into HTML is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("brain_tumor", room),
        autoescape=name.endswith(".html"),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment.get_template(name).render(values)
