"""Help pages that break a long option's name where typer would cut it short."""

from rich.highlighter import RegexHighlighter
from rich.text import Text
from typer import rich_utils


class _Folding(RegexHighlighter):
    """Highlights as another highlighter does, and lets what is too long fold."""

    def __init__(self, inner: RegexHighlighter) -> None:
        self.inner = inner

    def __call__(self, text: str | Text) -> Text:
        highlighted = self.inner(text)
        highlighted.overflow = "fold"
        return highlighted


def fold_option_names() -> None:
    """Have typer's tables of options fold names: its own way is an ellipsis, and half a name."""
    for name in ("highlighter", "negative_highlighter"):
        found = getattr(rich_utils, name, None)
        if isinstance(found, RegexHighlighter) and not isinstance(found, _Folding):
            setattr(rich_utils, name, _Folding(found))
