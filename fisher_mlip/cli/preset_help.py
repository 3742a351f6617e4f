"""Help of `fisher-mlip train` that says what each preset sets, read from the presets' files."""

from pathlib import Path
from typing import Any

from typer.core import TyperCommand

import fisher_mlip

ORDER = ("default", "fast", "accurate", "report")


class PresetHelp(TyperCommand):
    """Adds the presets' values to the help of the options that they set."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help page."""
        values = preset_values()
        for option in self.params:
            if option.name in values:
                option.help = f"{option.help} {values[option.name]}"  # type: ignore[attr-defined]
        super().format_help(ctx, formatter)


def preset_values() -> dict[str, str]:
    """Return what the presets set, in words, by the name of the option."""
    from fisher_mlip.config import TrainConfig, parse_config, read_yaml

    # Not through the training room, which would import torch for a page of help.
    folder = Path(fisher_mlip.__file__).parent / "train" / "presets"
    settings: dict[str, dict[str, Any]] = {}
    for file in sorted(folder.iterdir(), key=lambda file: ORDER.index(file.stem)):
        values = parse_config(read_yaml(file), TrainConfig, file.name).model_dump()
        settings[file.stem] = values.pop("model") | values
    return {option: _in_words(option, settings) for option in next(iter(settings.values()))}


def _in_words(option: str, settings: dict[str, dict[str, Any]]) -> str:
    chosen = {preset: _shown(values[option]) for preset, values in settings.items()}
    if len(set(chosen.values())) == 1:
        return f"[{next(iter(chosen.values()))}]"
    return f"[{', '.join(f'{preset} {value}' for preset, value in chosen.items())}]"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
