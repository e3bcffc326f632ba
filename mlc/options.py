"""Options that several commands share, each declared once."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer


class Color(str, Enum):
    """Order of the channels."""

    rgb = "rgb"
    bgr = "bgr"
    gray = "gray"


class Resize(str, Enum):
    """How a picture is brought to size."""

    stretch = "stretch"
    crop = "crop"
    letterbox = "letterbox"


TRAINING_PANEL = "Training"
DATA_PANEL, _INPUT, _READ, _LIMIT, OUTPUT_PANEL = (
    "Data",
    "Preprocessing",
    "Reading the source",
    "Limits",
    "Output",
)

Data = Annotated[
    str | None,
    typer.Option(
        help="Image folder (class sub-folders are labels), .npz with x and y, or module:function.",
        rich_help_panel=DATA_PANEL,
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(
        min=2, help="Compare on at most so many samples. [default: 500]", rich_help_panel=DATA_PANEL
    ),
]
InputRange = Annotated[
    str | None,
    typer.Option(
        metavar="LOW,HIGH",
        help="Range of the inputs that are made up where there are no data.",
        rich_help_panel=DATA_PANEL,
    ),
]
Labels = Annotated[
    str | None, typer.Option(help="Text file with one label per line.", rich_help_panel=_INPUT)
]
Scale = Annotated[
    float | None,
    typer.Option(
        help="tensor = (pixel * SCALE - mean) / std; pixels are 0..255. [default: 1]",
        rich_help_panel=_INPUT,
    ),
]
Mean = Annotated[
    str | None,
    typer.Option(help="One number, or one per channel: 0.485,0.456,0.406.", rich_help_panel=_INPUT),
]
Std = Annotated[
    str | None, typer.Option(help="One number, or one per channel.", rich_help_panel=_INPUT)
]
ColorOption = Annotated[
    Color | None, typer.Option(help="Order of the channels. [default: rgb]", rich_help_panel=_INPUT)
]
ResizeOption = Annotated[
    Resize | None,
    typer.Option(
        help="How a picture is brought to size. [default: stretch]", rich_help_panel=_INPUT
    ),
]
CropFraction = Annotated[
    float | None,
    typer.Option(
        help="With --resize crop: the part of the picture that is kept.", rich_help_panel=_INPUT
    ),
]
Batch = Annotated[
    str | None,
    typer.Option(
        metavar="N|dynamic",
        help="First dimension of every input. [default: 1]",
        rich_help_panel=_READ,
    ),
]
InputShape = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=DIMS",
        help="Whole shape of an input that the source leaves open, e.g. image=1x224x224x3.",
        rich_help_panel=_READ,
    ),
]
Signature = Annotated[
    str | None,
    typer.Option(
        help="Signature of a SavedModel. [default: serving_default]", rich_help_panel=_READ
    ),
]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Run code that is stored inside the source (Lambda layers, Python ops).",
        rich_help_panel=_READ,
    ),
]
CustomObjects = Annotated[
    str | None,
    typer.Option(
        metavar="MODULE",
        help="Python module that defines the source's own layers and functions.",
        rich_help_panel=_READ,
    ),
]
MaxDrop = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[TARGET=]POINTS",
        help="Fail (exit 3) if accuracy falls by more percentage points.",
        rich_help_panel=_LIMIT,
    ),
]
MinAgreement = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[TARGET=]PERCENT",
        help="Fail (exit 3) if fewer samples keep their top-1 class.",
        rich_help_panel=_LIMIT,
    ),
]
MaxSize = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[TARGET=]SIZE",
        help="Fail (exit 3) if an artifact is larger, e.g. tflite=3MB.",
        rich_help_panel=_LIMIT,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        help="Settings. [default: mlc.toml beside the source, else here]", rich_help_panel=_READ
    ),
]
NoCache = Annotated[
    bool,
    typer.Option(
        "--no-cache", help="Do everything anew, remember nothing.", rich_help_panel=OUTPUT_PANEL
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print the report as JSON instead of the table.",
        rich_help_panel=OUTPUT_PANEL,
    ),
]
