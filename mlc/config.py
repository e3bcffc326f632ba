"""mlc.toml and flags → one frozen BuildConfig."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mlc import targets
from mlc.bindings.generate import parse
from mlc.convert.labels import read_labels
from mlc.convert.network import Description
from mlc.convert.preprocessing import Preprocessing
from mlc.convert.read import ReadOptions
from mlc.errors import UsageError
from mlc.optimize import recipe as recipes
from mlc.optimize.plan import read_plan
from mlc.optimize.ranges import ESTIMATORS, Estimator
from mlc.optimize.recipe import Recipe
from mlc.optimize.training.request import Training
from mlc.targets.target import IO, Options
from mlc.validate.gate import Limits

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["BuildConfig", "DataConfig", "load", "read_options", "resolve"]

FILE = "mlc.toml"

# Files of every bundle: an artifact without a suffix cannot be called so.
_TAKEN = {"manifest.json", "report.json", "plan.json", "build.log", "failed", "golden", "bindings"}

# Fields of mlc.toml, and what they must be.
_KINDS: dict[str, tuple[type, ...]] = {
    "name": (str,),
    "version": (str,),
    "author": (str,),
    "license": (str,),
    "description": (str,),
    "labels": (str, list),
    "targets": (str, list),
    "recipe": (str,),
    "data": (str,),
    "golden": (int,),
    "prune": (float, str),
    "prune_channels": (float,),
    "cluster": (int,),
    "qat": (bool,),
    "epochs": (int,),
    "train_data": (str,),
    "bindings": (str, list),
    "preprocessing": (dict,),
    "limits": (dict,),
    "coreml_float32_ops": (str, list),
    "io": (str,),
}
_WORDS: dict[type, str] = {
    str: "text in quotes",
    list: "a list of texts",
    dict: "a table",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
}


@dataclass(frozen=True)
class DataConfig:
    """What to compare on. `data` and `calibration` are what the user wrote after --data."""

    data: str | None = None
    calibration: str | None = None
    samples: int = 500  # at most so many are compared
    calibration_samples: int = 200
    golden: int = 3  # so many go into the bundle, with what the network answers
    ranges: Estimator = "min-max"  # how calibration finds the range of a tensor
    synthesize_calibration: bool = False  # calibrate on made-up inputs where there are no data
    input_range: tuple[float, float] | None = None  # of made-up inputs, where there are no data


@dataclass(frozen=True)
class BuildConfig:
    """Everything one build depends on, besides the bytes of the source and of the data."""

    source: Path
    output: Path
    description: Description
    targets: tuple[str, ...] = targets.NAMES
    recipe: Recipe = recipes.FLOAT32
    read: ReadOptions = field(default_factory=ReadOptions)
    data: DataConfig = field(default_factory=DataConfig)
    preprocessing: Preprocessing | None = None
    labels: tuple[str, ...] = ()
    options: Options = field(default_factory=Options)
    bindings: tuple[str, ...] = ()  # languages of app code
    training: Training = field(default_factory=Training)
    plan: Path | None = None  # a plan.json whose decisions are repeated
    explain: bool = False  # measure what each pass does to the outputs
    limits: Mapping[str, Limits] = field(default_factory=dict)  # by target
    cache: bool = True


def load(source: Path, file: Path | None) -> dict[str, Any]:
    """The settings of `file`, else of the mlc.toml beside the source, else of the one here; or {}.

    Paths inside are taken from the folder of the file. Raises `UsageError` naming file and field.
    """
    beside = source.parent / FILE if source.parent.exists() else Path(FILE)
    found = file or next((p for p in (beside, Path(FILE)) if p.is_file()), None)
    if found is None:
        return {}
    try:
        settings = tomllib.loads(found.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{found} does not exist.", "Check --config.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{found} is not valid TOML: {error}.", "Correct that line.") from None
    for name, value in settings.items():
        if name not in _KINDS:
            raise UsageError(
                f"{found}: unknown field {name!r}.", f"Known are {', '.join(sorted(_KINDS))}."
            )
        texts = not isinstance(value, list) or all(isinstance(v, str) for v in value)
        if not isinstance(value, _KINDS[name]) or not texts:
            kinds = " or ".join(_WORDS[k] for k in _KINDS[name])
            raise UsageError(f"{found}: {name} is {value!r}.", f"It must be {kinds}.")
    for name in ("labels", "data", "train_data"):
        if isinstance(settings.get(name), str):
            settings[name] = _from_folder(found.parent, settings[name])
    return settings


def resolve(
    source: Path,
    output: Path | None,
    settings: Mapping[str, Any],
    flags: Mapping[str, Any],
) -> BuildConfig:
    """Lay flags (only those the user gave) over the settings of the file over the defaults.

    `flags` are named as the fields they set: description fields, preprocessing fields, `labels`,
    `targets`, `recipe`, `data`, ... and `limits`, a list of `(name, value)` as the user wrote them.
    Raises `UsageError` for one that nothing knows: a misspelt setting must not be passed over.
    """
    if unknown := sorted(set(flags) - _SETTINGS):
        raise UsageError(
            f"There is no setting {unknown[0]!r}.", f"Known are {', '.join(sorted(_SETTINGS))}."
        )
    merged = {**settings, **{k: v for k, v in flags.items() if v is not None}}
    description = Description(**{"name": _stem(source), **_pick(Description, merged, text=True)})
    if not re.fullmatch(r"[\w-][\w.-]*", description.name) or description.name in _TAKEN:
        raise UsageError(
            f"The name {description.name!r} cannot be a file name.",
            "Give another with --name, of letters, digits, _ . -",
        )
    named = merged.get("targets", "all")
    plan = Path(merged["plan"]) if merged.get("plan") else None
    names = targets.parse(named if isinstance(named, str) else ",".join(named))
    recipe = read_plan(plan).recipe if plan else recipes.named(str(merged.get("recipe", "fp32")))
    return BuildConfig(
        source=source,
        output=output or Path("dist"),
        description=description,
        targets=names,
        recipe=recipe,
        read=read_options(merged),
        data=_data(merged),
        preprocessing=_preprocessing(settings, flags),
        labels=read_labels(merged["labels"]) if "labels" in merged else (),
        options=_options(merged, flags, recipe, names),
        bindings=_bindings(merged.get("bindings", ()), names),
        training=_training(merged, flags, recipe),
        plan=plan,
        explain=bool(merged.get("explain", False)),
        limits=Limits.per_target(
            targets.NAMES, settings.get("limits", {}), flags.get("limits") or []
        ),
        cache=bool(merged.get("cache", True)),
    )


def _training(merged: Mapping[str, Any], flags: Mapping[str, Any], recipe: Recipe) -> Training:
    """What is trained; raises `UsageError` where there is nothing to train on, or for."""
    training = Training.of(merged)
    if training.asked and not (training.train_data or merged.get("data")):
        raise UsageError(
            "--prune, --prune-channels, --cluster and --qat train the network, which needs samples.",
            "Give them with --data or --train-data; labels are not needed.",
        )
    if training.asked and merged.get("plan"):
        raise UsageError(
            "A plan is of the weights as they were, and training changes them.",
            "Give --plan, or what trains the network.",
        )
    for name in ("epochs", "train_data"):  # in mlc.toml they may wait for a flag
        if flags.get(name) is not None and not training.asked:
            raise UsageError(
                f"--{name.replace('_', '-')} is of training, and nothing here trains the network.",
                "Add --prune, --prune-channels, --cluster or --qat, or leave it out.",
            )
    training.phases(recipe, ESTIMATORS[0], 1)
    return training


def _bindings(languages: str | Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    parsed = parse(languages if isinstance(languages, str) else ",".join(languages))
    for language in parsed:
        if not set(language.targets) & set(names):
            raise UsageError(
                f"{language.title} bindings need {' or '.join(language.targets)}.",
                f"Add it to --targets {','.join(names)}.",
            )
    return tuple(language.name for language in parsed)


def read_options(settings: Mapping[str, Any]) -> ReadOptions:
    """How the source is read; a batch of "dynamic" leaves the first dimension open."""
    picked = _pick(ReadOptions, settings)
    batch = picked.get("batch", 1)
    if batch == "dynamic":
        picked["batch"] = None
    elif not isinstance(batch, int) or batch < 1:
        raise UsageError(f"The batch is {batch!r}.", "Give a number from 1 on, or dynamic.")
    shapes = {str(name): tuple(dims) for name, dims in picked.get("shapes", {}).items()}
    for name, dims in shapes.items():
        if not all(d is None or (isinstance(d, int) and d > 0) for d in dims):
            raise UsageError(
                f"The shape of input {name!r} is {dims}.", "Dimensions are numbers from 1 on, or ?."
            )
    return ReadOptions(**{**picked, "shapes": shapes})


def _options(
    merged: Mapping[str, Any], flags: Mapping[str, Any], recipe: Recipe, names: Sequence[str]
) -> Options:
    picked = _pick(Options, merged)
    if picked.get("io", IO[0]) not in IO:
        raise UsageError(f"There is no io {picked['io']!r}.", f"Use one of {', '.join(IO)}.")
    if flags.get("io"):  # in mlc.toml it may wait for a recipe and a target
        _check_io(flags["io"], recipe, names)
    ops = picked.get("coreml_float32_ops")
    if ops is not None:
        ops = ops.split(",") if isinstance(ops, str) else ops
        picked["coreml_float32_ops"] = tuple(sorted({o.strip() for o in ops} - {""}))
    return Options(**picked)


def _check_io(io: str, recipe: Recipe, names: Sequence[str]) -> None:
    """Refuse inputs and outputs that no artifact of this build could have."""
    if io == IO[0]:
        return
    if recipe.activations != "int8" or recipe.palettized:
        raise UsageError(
            f"--io {io} needs a network that computes in 8-bit integers, which {recipe.name} does not.",
            "Use --int8, or a recipe whose name has a8 and no palette; or leave --io out.",
        )
    if "tflite" not in names:
        raise UsageError(
            f"--io {io} is of TFLite, which is not among the targets.",
            f"Use --targets {','.join((*names, 'tflite'))}, or leave --io out.",
        )


def _data(settings: Mapping[str, Any]) -> DataConfig:
    picked = _pick(DataConfig, settings)
    for name in ("data", "calibration"):
        if isinstance(picked.get(name), os.PathLike):
            picked[name] = str(picked[name])
    if picked.get("ranges", ESTIMATORS[0]) not in ESTIMATORS:
        raise UsageError(
            f"There is no way {picked['ranges']!r} to find ranges.",
            f"Use one of {', '.join(ESTIMATORS)}.",
        )
    span = picked.get("input_range")
    if span is not None:
        low, high = map(float, span)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise UsageError(
                f"The input range is {low:g} to {high:g}.", "Give the lower end first, e.g. 0,1."
            )
        picked["input_range"] = (low, high)
    return DataConfig(**picked)


def _preprocessing(settings: Mapping[str, Any], flags: Mapping[str, Any]) -> Preprocessing | None:
    declared: dict[str, Any] = dict(settings.get("preprocessing", {}))
    names = [f.name for f in fields(Preprocessing)]
    declared |= {k: flags[k] for k in names if flags.get(k) is not None}
    if "preprocessing" not in settings and not declared:
        return None
    return Preprocessing.from_json(declared)


# Every name that a flag or a keyword of `mlc.build` may have.
_SETTINGS = {
    *(
        f.name
        for k in (Description, Preprocessing, DataConfig, ReadOptions, Options, Training)
        for f in fields(k)
    ),
    *("labels", "targets", "recipe", "bindings", "plan", "explain", "limits", "cache"),
}


def _pick(kind: type, merged: Mapping[str, Any], text: bool = False) -> dict[str, Any]:
    """Those settings that are fields of the dataclass `kind`."""
    picked = {f.name: merged[f.name] for f in fields(kind) if f.name in merged}
    for name, value in picked.items():
        if text and not isinstance(value, str):
            raise UsageError(f"{FILE}: {name} must be text.", f'Write {name} = "{value}".')
    return picked


def _from_folder(folder: Path, value: str) -> str:
    beside = folder / value.split(":")[0]
    return str(folder / value) if beside.exists() else value


def _stem(source: Path) -> str:
    source = Path(os.path.abspath(source))  # `mlc build .` stands inside a SavedModel
    return re.sub(r"[^\w.-]", "_", source.name.removesuffix(source.suffix) or source.name)
