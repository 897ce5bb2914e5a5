"""Fill templates, which lie beside the modules that use them."""

from collections.abc import Callable, Mapping
from typing import Any

import jinja2


def render(package: str, name: str, values: Mapping[str, Any], **filters: Callable[[Any], str]) -> str:
    """Return a filled template of a subpackage, such as "report"; values are escaped in a template of HTML."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("brain_tumor", package),
        autoescape=name.endswith(".html"),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= filters
    return environment.get_template(name).render(values)
