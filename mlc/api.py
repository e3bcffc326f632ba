"""mlc from Python: the same work as the commands, with the same names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlc import targets as formats
from mlc.build import build as _build
from mlc.config import load, resolve
from mlc.inspection import Inspection
from mlc.inspection import inspect as _inspect
from mlc.report.report import Report
from mlc.targets.target import Runtime
from mlc.validation import validate as _validate

__all__ = ["build", "inspect", "open", "validate"]


def build(
    source: Any,
    output: str | Path = "dist",
    *,
    targets: str | Sequence[str] | None = None,
    recipe: str | None = None,
    config: str | Path | None = None,
    **settings: Any,
) -> Report:
    """Compile a model file, or a live Keras model, and prove every artifact; see `mlc build --help`.

    `recipe` is `fp32`, `fp16` or `int8`. `settings` are the other flags under the names of mlc.toml:
    `data`, `samples`, `calibration`, `labels`, `batch`, `name`, `version`, `scale`, `mean`, ...;
    `limits` is a list of pairs such as `("max_size", "tflite=3MB")`.

    Returns the report, whose `rows` tell of failed targets; raises `MlcError` where nothing can be built.
    """
    live = not isinstance(source, (str, Path))
    name = str(getattr(source, "name", type(source).__name__))
    path = Path(f"{name}.keras") if live else Path(source)
    names = targets if isinstance(targets, str) or targets is None else ",".join(targets)
    resolved = resolve(
        path,
        Path(output),
        load(path, Path(config) if config else None),
        {"targets": names, "recipe": recipe, **settings},
    )
    return _build(resolved, model=source if live else None)


def validate(
    artifact: str | Path, against: str | Path, *, config: str | Path | None = None, **settings: Any
) -> Report:
    """Compare an artifact, or every artifact of a bundle, with its source; see `mlc validate --help`."""
    source = Path(against)
    resolved = resolve(source, None, load(source, Path(config) if config else None), settings)
    return _validate(Path(artifact), resolved)


def inspect(file: str | Path) -> Inspection:
    """Inputs, outputs, ops, parameters and size of any source or artifact."""
    return _inspect(Path(file))


def open(artifact: str | Path) -> Runtime:
    """An artifact in a runtime of its format: `open(path).run({"image": array})`."""
    path = Path(artifact)
    return formats.target(formats.recognise(path)).open(path)
