"""The command line: parse, call, print. No logic."""

from __future__ import annotations

import errno
import io
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mlc.channel import cli as channel
from mlc.demo import cli as demo
from mlc.errors import Exit, MachineError, MlcError, UsageError
from mlc.options import (
    DATA_PANEL,
    OUTPUT_PANEL,
    TRAINING_PANEL,
    Batch,
    ColorOption,
    Config,
    CropFraction,
    CustomObjects,
    Data,
    InputRange,
    InputShape,
    Json,
    Labels,
    MaxDrop,
    MaxSize,
    Mean,
    MinAgreement,
    NoCache,
    ResizeOption,
    Samples,
    Scale,
    Signature,
    Std,
    Trust,
)

if TYPE_CHECKING:
    from mlc.config import BuildConfig
    from mlc.report.report import Report
    from mlc.stages import Watcher

app = typer.Typer(
    help="Compile a trained Keras or SavedModel network for phones and browsers, and prove every "
    "artifact: same answers as the original, how much smaller, how much faster.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        import mlc

        typer.echo(f"mlc {mlc.__version__}")
        raise typer.Exit


@app.command()
def build(
    source: Annotated[Path, typer.Argument(help=".keras, .h5, .hdf5, or a SavedModel folder.")],
    targets: Annotated[
        str | None,
        typer.Option(
            "--targets",
            "-t",
            help="coreml, tflite, onnx, tfjs: comma-separated, or all. [default: all]",
        ),
    ] = None,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="8-bit integers: weights, and with --data also activations where the format has them.",
        ),
    ] = False,
    fp16: Annotated[bool, typer.Option("--fp16", help="16-bit floats.")] = False,
    palettize: Annotated[
        int | None,
        typer.Option(
            metavar="BITS",
            help="Weights as indices of 1, 2, 3, 4, 6 or 8 bits into tables found by k-means.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="Any other precision by name: int8-weights, w8a16, w4, w4-uniform, w8a8-per-tensor, ..."
        ),
    ] = None,
    plan: Annotated[
        Path | None,
        typer.Option(help="Repeat the decisions of an earlier build: the plan.json of its bundle."),
    ] = None,
    prune: Annotated[
        str | None,
        typer.Option(
            metavar="SHARE|N:M",
            help="Set this share of the weights to zero, or all but N of every M, while training.",
            rich_help_panel=TRAINING_PANEL,
        ),
    ] = None,
    prune_channels: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Remove this share of the channels, for speed, and fine-tune what is left.",
            rich_help_panel=TRAINING_PANEL,
        ),
    ] = None,
    cluster: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=256,
            metavar="N",
            help="At most N different values in each weight, found by k-means and trained.",
            rich_help_panel=TRAINING_PANEL,
        ),
    ] = None,
    qat: Annotated[
        bool,
        typer.Option(
            "--qat",
            help="Train the network to answer well with the integers of --int8 or --recipe.",
            rich_help_panel=TRAINING_PANEL,
        ),
    ] = False,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Of each of these; the best one is kept. [default: 10]",
            rich_help_panel=TRAINING_PANEL,
        ),
    ] = None,
    train_data: Annotated[
        str | None,
        typer.Option(
            help="Data to train on; labels help, the original teaches. [default: --data]",
            rich_help_panel=TRAINING_PANEL,
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Show what each pass did to the network."),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder of the bundle. [default: dist]",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    data: Data = None,
    samples: Samples = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            "--calibration-data",
            help="Other data to calibrate --int8 on. [default: --data; labels are not used]",
            rich_help_panel=DATA_PANEL,
        ),
    ] = None,
    calibration_samples: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Calibrate on at most so many samples. [default: 200]",
            rich_help_panel=DATA_PANEL,
        ),
    ] = None,
    golden: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="Copy N inputs, pictures too, and what the original answers into the bundle, for apps "
            "to check themselves by. [default: 3]",
            rich_help_panel=DATA_PANEL,
        ),
    ] = None,
    ranges: Annotated[
        str | None,
        typer.Option(
            help="How calibration finds the range of a tensor: min-max, percentile, entropy or mse. "
            "[default: min-max]",
            rich_help_panel=DATA_PANEL,
        ),
    ] = None,
    synthesize_calibration: Annotated[
        bool,
        typer.Option(
            "--synthesize-calibration",
            help="Without data, calibrate on made-up inputs: look at the agreement that comes of it.",
            rich_help_panel=DATA_PANEL,
        ),
    ] = False,
    input_range: InputRange = None,
    labels: Labels = None,
    input_scale: Scale = None,
    input_mean: Mean = None,
    input_std: Std = None,
    color: ColorOption = None,
    resize: ResizeOption = None,
    crop_fraction: CropFraction = None,
    batch: Batch = None,
    input_shape: InputShape = None,
    signature: Signature = None,
    trust: Trust = False,
    custom_objects: CustomObjects = None,
    ios: Annotated[
        int | None,
        typer.Option(
            min=15, max=18, help="Oldest iOS that must run the Core ML package. [default: 16]"
        ),
    ] = None,
    coreml_float32_ops: Annotated[
        str | None,
        typer.Option(
            metavar="OP,OP",
            help="Keep these ops of a float16 Core ML program in float32, by name or by kind. "
            "[default: those that float16 spoils]",
        ),
    ] = None,
    io: Annotated[
        str | None,
        typer.Option(
            metavar="float|int8|uint8",
            help="Inputs and outputs of TFLite. Integers need --int8 and --data, and leave no float in "
            "the file, as accelerators want it. [default: float]",
        ),
    ] = None,
    max_accuracy_drop: MaxDrop = None,
    min_agreement: MinAgreement = None,
    max_size: MaxSize = None,
    bindings: Annotated[
        str | None,
        typer.Option(
            metavar="LANGUAGES",
            help="Also write app code: swift, kotlin, typescript, comma-separated.",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Name of the model and its files. [default: that of the source]",
            rich_help_panel=OUTPUT_PANEL,
        ),
    ] = None,
    config: Config = None,
    no_cache: NoCache = False,
    as_json: Json = False,
) -> None:
    """Compile a source to artifacts, run each one, compare it with the source, write a bundle."""
    from mlc.build import build as run

    settings = _resolve(
        source,
        output,
        config,
        targets=targets,
        recipe=_recipe(int8, fp16, palettize, recipe, plan),
        prune=prune,
        prune_channels=prune_channels,
        cluster=cluster,
        qat=qat or None,
        epochs=epochs,
        train_data=train_data,
        plan=plan,
        explain=explain or None,
        data=data,
        samples=samples,
        calibration=calibration,
        calibration_samples=calibration_samples,
        golden=golden,
        ranges=ranges,
        synthesize_calibration=synthesize_calibration or None,
        input_range=_numbers("--input-range", input_range, count=2),
        labels=labels,
        scale=input_scale,
        mean=_numbers("--input-mean", input_mean),
        std=_numbers("--input-std", input_std),
        color=color.value if color else None,
        resize=resize.value if resize else None,
        crop_fraction=crop_fraction,
        **_reading(batch, input_shape, signature, trust, custom_objects),
        ios=ios,
        coreml_float32_ops=coreml_float32_ops,
        io=io,
        limits=_limits(max_accuracy_drop, min_agreement, max_size),
        bindings=bindings,
        name=name,
        cache=not no_cache,
    )
    _finish(lambda watcher: run(settings, watcher=watcher), as_json)


@app.command()
def validate(
    artifact: Annotated[
        Path, typer.Argument(help=".mlpackage, .tflite, .onnx, a TF.js folder, or a bundle.")
    ],
    against: Annotated[
        Path, typer.Option(help="The source: .keras, .h5, .hdf5, or a SavedModel folder.")
    ],
    data: Data = None,
    samples: Samples = None,
    input_range: InputRange = None,
    labels: Labels = None,
    input_scale: Scale = None,
    input_mean: Mean = None,
    input_std: Std = None,
    color: ColorOption = None,
    resize: ResizeOption = None,
    crop_fraction: CropFraction = None,
    batch: Batch = None,
    input_shape: InputShape = None,
    signature: Signature = None,
    trust: Trust = False,
    custom_objects: CustomObjects = None,
    max_accuracy_drop: MaxDrop = None,
    min_agreement: MinAgreement = None,
    max_size: MaxSize = None,
    config: Config = None,
    no_cache: NoCache = False,
    as_json: Json = False,
) -> None:
    """Run an artifact, or all of a bundle, ours or not, and compare it with its source."""
    from mlc.validation import validate as run

    settings = _resolve(
        against,
        None,
        config,
        data=data,
        samples=samples,
        input_range=_numbers("--input-range", input_range, count=2),
        labels=labels,
        scale=input_scale,
        mean=_numbers("--input-mean", input_mean),
        std=_numbers("--input-std", input_std),
        color=color.value if color else None,
        resize=resize.value if resize else None,
        crop_fraction=crop_fraction,
        **_reading(batch, input_shape, signature, trust, custom_objects),
        limits=_limits(max_accuracy_drop, min_agreement, max_size),
        cache=not no_cache,
    )
    _finish(lambda watcher: run(artifact, settings, watcher), as_json)


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="Any source, artifact or bundle.")],
    batch: Batch = None,
    input_shape: InputShape = None,
    signature: Signature = None,
    trust: Trust = False,
    custom_objects: CustomObjects = None,
    as_json: Json = False,
) -> None:
    """Show inputs, outputs, ops, parameters and size of a source or artifact; what a bundle holds."""
    from mlc.config import read_options
    from mlc.inspection import inspect as run
    from mlc.inspection import inspect_bundle
    from mlc.report.bundle import bundle_to_json, print_bundle
    from mlc.report.inspection import print_inspection, to_json

    if bundle := inspect_bundle(file):
        if as_json:
            typer.echo(json.dumps(bundle_to_json(bundle), indent=1, ensure_ascii=False))
        else:
            print_bundle(bundle)
        return
    reading = _reading(batch, input_shape, signature, trust, custom_objects)
    found = run(file, read_options({k: v for k, v in reading.items() if v is not None}))
    if as_json:
        typer.echo(json.dumps(to_json(found), indent=1, ensure_ascii=False))
    else:
        print_inspection(found)


@app.command()
def bindings(
    bundle: Annotated[Path, typer.Argument(help="Folder that mlc build wrote.")],
    swift: Annotated[bool, typer.Option("--swift", help="For Core ML.")] = False,
    kotlin: Annotated[bool, typer.Option("--kotlin", help="For TFLite on Android.")] = False,
    typescript: Annotated[
        bool, typer.Option("--typescript", help="For TF.js, onnxruntime-web and LiteRT.js.")
    ] = False,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder; each language gets one inside.")
    ] = Path("bindings"),
) -> None:
    """Write typed app code: preprocessing, labels and self-test of the model in a bundle."""
    from mlc.bindings.generate import LANGUAGES, generate
    from mlc.bundle.manifest import read_manifest

    asked = {"swift": swift, "kotlin": kotlin, "typescript": typescript}
    if not any(asked.values()):
        raise UsageError("No language was named.", "Add --swift, --kotlin or --typescript.")
    manifest = read_manifest(bundle)
    for name in filter(asked.get, asked):
        generate(manifest, LANGUAGES[name], output)
        typer.echo(f"{LANGUAGES[name].title}: {output / name}")


@app.command()
def run(
    artifact: Annotated[Path, typer.Argument(help=".mlpackage, .tflite, .onnx or a TF.js folder.")],
    inputs: Annotated[
        list[str],
        typer.Option(
            "--input",
            "-i",
            metavar="[NAME=]FILE",
            help="An array as .npy, or several by name as .npz; may be repeated.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the outputs to this .npz.")
    ] = None,
) -> None:
    """Run an artifact once on your arrays; a Core ML package too, on any system."""
    import numpy as np

    from mlc.running import run as run_artifact

    runtime, results = run_artifact(artifact, inputs)
    typer.echo(f"{runtime}", err=True)
    for name, array in results.items():
        with np.printoptions(precision=6, suppress=True, threshold=20):
            typer.echo(f"{name} {'×'.join(map(str, array.shape))} {array.dtype}\n{array}")
    if output:
        np.savez(output, **{name: np.asarray(array) for name, array in results.items()})


@app.command()
def doctor() -> None:
    """Check what this machine has: versions, runtimes, cache."""
    from mlc.report.doctor import print_doctor

    raise typer.Exit(print_doctor())


app.command()(demo.demo)
app.command()(channel.publish)
app.command()(channel.rollback)
app.add_typer(channel.app, name="channel")


def main() -> None:
    """Run the command; an error is one sentence and an exit code, a traceback only with --debug."""
    debug = "--debug" in sys.argv[1:]
    # --debug may stand anywhere; Typer would want it before the command.
    arguments = [a for a in sys.argv[1:] if a != "--debug"] or ["--help"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without ✓ still shows the rest
    # A CI system ends a job so: leave as after Ctrl-C, with workers stopped and nothing half-written.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        code = app(args=arguments, standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        code = Exit.INTERRUPTED
    except Exception as error:
        if debug:
            raise
        code = _explain(error)
    if code == Exit.INTERRUPTED:
        _complain("Interrupted.", "Nothing was changed.")
    sys.exit(int(code or 0))


def _explain(error: Exception) -> Exit:
    """Print any error as a sentence; returns the exit code."""
    if isinstance(error, typer.TyperException):
        _complain(error.format_message(), "See mlc --help.")
        return Exit.USAGE
    if isinstance(error, MlcError):
        _complain(error.message, error.hint)
        return error.exit_code
    if isinstance(error, OSError):
        return _explain(_of_machine(error))
    _complain(f"{type(error).__name__}: {error}", "This is a defect of mlc; --debug shows where.")
    return Exit.FAILED


def _of_machine(error: OSError) -> MachineError:
    if error.errno == errno.ENOSPC:
        return MachineError("The disk is full.", "Free some space; the previous bundle is intact.")
    where = f" ({error.filename})" if error.filename else ""
    return MachineError(f"{error.strerror or error}{where}.", "Check permissions and paths.")


def _complain(message: str, hint: str) -> None:
    from rich.console import Console
    from rich.text import Text

    text = Text.assemble(("error: ", "bold red"), message)
    if hint:
        text.append(f"\n       {hint}")
    Console(stderr=True).print(text, soft_wrap=True)


def _resolve(source: Path, output: Path | None, config: Path | None, **flags: Any) -> BuildConfig:
    from mlc.config import load, resolve

    return resolve(source, output, load(source, config), flags)


def _finish(run: Callable[[Watcher], Report], as_json: bool) -> None:
    """Run with progress on stderr, print the report on stdout, exit with its code."""
    from rich.console import Console

    from mlc.report.terminal import Progress, print_report, wide_console

    with Progress(Console(stderr=True)) as progress:
        report = run(progress)
    if as_json:
        typer.echo(json.dumps(report.to_json(), indent=1, ensure_ascii=False))
    else:
        print_report(report, wide_console())
    raise typer.Exit(int(report.exit_code))


def _recipe(
    int8: bool, fp16: bool, palettize: int | None, recipe: str | None, plan: Path | None
) -> str | None:
    """The recipe's name out of the flags that mean one; None where none of them was given."""
    given = {
        "--int8": "int8" if int8 else None,
        "--fp16": "fp16" if fp16 else None,
        "--palettize": f"w{palettize}-palette" if palettize else None,
        "--recipe": recipe,
        "--plan": "fp32" if plan else None,  # the plan knows its own
    }
    names = {flag: name for flag, name in given.items() if name}
    if len(names) > 1:
        raise UsageError(f"{' and '.join(names)} exclude each other.", "Give one of them.")
    return next(iter(names.values()), None)


def _limits(
    drop: list[str] | None, agreement: list[str] | None, size: list[str] | None
) -> list[tuple[str, str]]:
    return [
        *(("max_accuracy_drop", v) for v in drop or ()),
        *(("min_agreement", v) for v in agreement or ()),
        *(("max_size", v) for v in size or ()),
    ]


def _reading(
    batch: str | None,
    shapes: list[str] | None,
    signature: str | None,
    trust: bool,
    custom_objects: str | None,
) -> dict[str, Any]:
    """The flags of `ReadOptions`, parsed; None where not given."""
    sizes: dict[str, tuple[int | None, ...]] = {}
    for text in shapes or ():
        name, _, dims = text.rpartition("=")
        try:
            sizes[name] = tuple(None if d == "?" else int(d) for d in dims.split("x"))
        except ValueError:
            name = ""
        if not name:
            raise UsageError(
                f"--input-shape {text!r} is not understood.", "Write e.g. image=1x224x224x3."
            )
    if batch is not None and batch != "dynamic" and not batch.isdecimal():
        raise UsageError(f"--batch is {batch!r}.", "Give a number, or dynamic.")
    return {
        "batch": int(batch) if batch and batch.isdecimal() else batch,
        "shapes": sizes or None,
        "signature": signature,
        "trust": trust or None,
        "custom_objects": custom_objects,
    }


def _numbers(flag: str, text: str | None, count: int | None = None) -> tuple[float, ...] | None:
    if text is None:
        return None
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if not numbers or (count and len(numbers) != count):
        raise UsageError(f"{flag} is {text!r}.", "Give numbers with commas between them.")
    return numbers
