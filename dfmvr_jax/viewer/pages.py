"""Pages put together from their sources: one file each, which asks the network for nothing.

What users gave, names of files above all, is escaped; besides, the page's policy lets no script run but
ours, whose hashes it holds, and nothing be loaded from elsewhere.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources

PLACE = re.compile(r"\{\{(\w+)\}\}")


def assemble(page: str, styles: Sequence[str], scripts: Sequence[str], images: str, **texts: str) -> str:
    """Fill a page's template with its styles and scripts, and with texts, which are HTML already.

    `images` are the sources of pictures that its policy allows.
    """
    style, script = ("\n".join(map(read_source, names)) for names in (styles, scripts))
    policy = (
        f"default-src 'none'; img-src {images}; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    return fill(read_source(page), {"policy": policy, "style": style, "script": script, **texts})


def fill(template: str, texts: Mapping[str, str]) -> str:
    """Put texts in the places of a template that have their names, {{name}}; those in texts stay."""
    return PLACE.sub(lambda place: texts[place[1]], template)


def read_source(name: str) -> str:
    """Read a file of the pages' sources."""
    return resources.files("dfmvr_jax.viewer").joinpath("page", name).read_text(encoding="utf-8")


def as_text(text: object) -> str:
    """Escape what stands between tags or in an attribute's quotes."""
    return html.escape(_unicode(str(text)))


def as_data(value: object) -> str:
    """JSON that can stand in a <script>: nothing in it ends the element or begins a comment."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _unicode(text: str) -> str:
    """Names of files that are no Unicode have a mark where they are not."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _hash(source: str) -> str:
    digest = hashlib.sha256(source.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
