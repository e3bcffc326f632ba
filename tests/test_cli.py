"""The commands: one clear sentence and an exit code for every mistake, and nothing half-done."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import typer

import mlc as package
from mlc.cli import app
from mlc.errors import Exit
from mlc.store import tree_digest
from tests import networks
from tests.command import Built, Done, mlc, python
from tests.stand_ins import plain

pytestmark = pytest.mark.xdist_group("build")


@pytest.mark.parametrize("arguments", [["--help"], ["build", "--help"], ["validate", "-h"], []])
def test_help_imports_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    code = f"""
import sys
from mlc.cli import main
sys.argv = ["mlc", *{arguments}]
try:
    main()
except SystemExit:
    pass
heavy = {{"tensorflow", "keras", "tf_keras", "numpy", "onnx", "PIL", "h5py", "pebble", "jsonschema"}}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""
    done = python(code, tmp_path)
    assert done.err.splitlines()[-1] == "[]"
    assert "Usage" in done.out


def test_every_option_is_explained() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert {"build", "validate", "inspect", "doctor"} <= commands.keys()
    for name, command in commands.items():
        assert command.help, name
        for parameter in command.params:
            assert parameter.help, f"{name} {parameter.name}"


def test_the_version_is_that_of_the_package() -> None:
    assert mlc("--version") == Done(0, f"mlc {package.__version__}\n", "")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What people hand in by mistake."""
    folder = tmp_path_factory.mktemp("files")
    networks.save("two_in_two_out", folder / "good.keras")
    whole = (folder / "good.keras").read_bytes()
    (folder / "truncated.keras").write_bytes(whole[: len(whole) // 2])
    networks.save("two_in_two_out", folder / "good.h5")
    whole = (folder / "good.h5").read_bytes()
    (folder / "truncated.h5").write_bytes(whole[: len(whole) // 2])
    (folder / "text.h5").write_text("hello")
    (folder / "empty.h5").write_bytes(b"")
    (folder / "empty").mkdir()
    (folder / "notes").mkdir()
    (folder / "notes" / "a.txt").write_text("hello")
    return folder


def check(done: Done, code: int, says: str) -> None:
    """One sentence on stderr, with a remedy below it, and the exit code."""
    assert done.code == code, done
    assert says in done.err, done
    sentence, *remedy = done.err.strip().splitlines()
    assert sentence.startswith("error: ")
    assert len(remedy) <= 1, "one sentence, one remedy"
    assert "Traceback" not in done.err + done.out
    assert done.out == ""


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("missing.h5", "missing.h5 does not exist."),
        ("text.h5", "text.h5 is not a Keras model: neither HDF5 nor a .keras archive."),
        ("empty.h5", "empty.h5 is empty."),
        ("truncated.keras", "truncated or damaged."),
        ("truncated.h5", "truncated or damaged."),
        ("empty", "The folder {files}/empty is empty."),
        ("notes", "holds no saved_model.pb."),
    ],
)
def test_what_is_no_model_is_told_at_once(
    source: str, says: str, files: Path, tmp_path: Path
) -> None:
    start = time.perf_counter()
    for command in (["build"], ["inspect"]):
        options = ["-o", tmp_path / "new" / "dist"] if command == ["build"] else []
        done = mlc(*command, files / source, *options)
        check(done, Exit.INPUT, says.format(files=files))
    assert not (tmp_path / "new" / "dist").exists()
    assert list(tmp_path.rglob("*")) in ([], [tmp_path / "new"])
    assert time.perf_counter() - start < 10, "no worker is started for that"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-t", "wasm"], "There is no target 'wasm'."),
        (["-t", ","], "No target was named."),
        (["--int8", "--fp16"], "--int8 and --fp16 exclude each other."),
        (["--palettize", "4", "--plan", "p.json"], "--palettize and --plan exclude each other."),
        (["--palettize", "5"], "There is no recipe 'w5-palette'."),
        (["--max-size", "tflite=3 bananas"], "The limit max_size is '3 bananas'."),
        (["--max-size", "tflit=3MB"], "The limit max_size is set for 'tflit', which is no target."),
        (["--min-agreement", "0.99"], "The limit min_agreement is '0.99'."),
        (["--max-accuracy-drop", "-1"], "The limit max_accuracy_drop is '-1'."),
        (["--batch", "many"], "--batch is 'many'."),
        (["--batch", "0"], "The batch is 0."),
        (["--input-shape", "1x2x3"], "--input-shape '1x2x3' is not understood."),
        (["--input-shape", "x=1xtwo"], "--input-shape 'x=1xtwo' is not understood."),
        (["--input-shape", "x=1x0"], "The shape of input 'x' is (1, 0)."),
        (["--input-mean", "a,b,c"], "--input-mean is 'a,b,c'."),
        (["--input-mean", "1,2"], "preprocessing: mean has 2 numbers for rgb."),
        (["--input-std", "0"], "preprocessing: scale and std must not be 0."),
        (["--input-range", "1"], "--input-range is '1'."),
        (["--input-range", "1,0"], "The input range is 1 to 0."),
        (["--crop-fraction", "2"], "preprocessing: crop_fraction is 2.0."),
        (["--color", "yuv"], "Invalid value for '--color'"),
        (["--ios", "14"], "Invalid value for '--ios'"),
        (["--samples", "1"], "Invalid value for '--samples'"),
        (["--labels", "missing.txt"], "The labels file missing.txt cannot be read"),
        (["--config", "missing.toml"], "missing.toml does not exist."),
        (["--name", "../up"], "The name '../up' cannot be a file name."),
        (["--no-such-option"], "No such option: --no-such-option"),
    ],
)
def test_every_wrong_flag_is_a_sentence(
    options: list[str], says: str, files: Path, tmp_path: Path
) -> None:
    done = mlc("build", files / "good.keras", "-o", tmp_path / "dist", *options)
    check(done, Exit.USAGE, says)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["build"], ["validate"], ["biuld", "m.h5"]])
def test_a_command_that_lacks_something_says_what(arguments: list[str]) -> None:
    done = mlc(*arguments)
    assert done.code == Exit.USAGE
    assert re.search(r"Missing argument|No such command", done.err)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("recipe = int8", "mlc.toml is not valid TOML"),
        ("recipes = 'int8'", "unknown field 'recipes'"),
        ("recipe = 8", "recipe is 8."),
        ("[preprocessing]\nscale = 'x'", "preprocessing: scale is 'x'."),
        ("[limits]\nmax_sise = 1", "There is no limit 'max_sise'."),
    ],
)
def test_every_wrong_line_of_mlc_toml_is_a_sentence(
    text: str, says: str, files: Path, tmp_path: Path
) -> None:
    (tmp_path / "mlc.toml").write_text(text)
    (tmp_path / "good.keras").write_bytes((files / "good.keras").read_bytes())
    check(mlc("build", tmp_path / "good.keras", "-o", tmp_path / "dist"), Exit.USAGE, says)
    assert not (tmp_path / "dist").exists()


def test_an_output_that_cannot_be_written_is_a_sentence(files: Path, tmp_path: Path) -> None:
    """A path below a file: this stops root too, who may write everywhere else."""
    done = mlc("build", files / "good.keras", "-o", files / "text.h5" / "dist")
    check(done, Exit.ENVIRONMENT, "text.h5 is a file.")
    done = mlc("build", files / "good.keras", "-o", files / "text.h5")
    check(done, Exit.USAGE, "is a file.")


def test_a_folder_of_other_files_is_not_replaced(files: Path) -> None:
    done = mlc("build", files / "good.keras", "-o", files / "notes")
    check(done, Exit.USAGE, "holds other files (a.txt), which a build would replace.")
    assert (files / "notes" / "a.txt").read_text() == "hello"


def wrong_data(folder: Path) -> dict[str, tuple[list[str], int, str]]:
    """Options that are wrong for the network of `built`: exit code and sentence."""
    np.savez(folder / "shape.npz", x=np.zeros((3, 20, 24, 3)))
    np.savez(folder / "names.npz", pictures=np.zeros((3, 24, 24, 3)))
    np.savez(folder / "classes.npz", x=np.zeros((3, 24, 24, 3)), y=[0, 1, 5])
    (folder / "text.npz").write_text("hello")
    (folder / "data.py").write_text("def rows():\n    raise ValueError('no camera')\n")
    (folder / "empty").mkdir()
    (folder / "classes").mkdir()
    for name in ("cat", "dog"):
        (folder / "classes" / name).mkdir()
        plain(9, 9).save(folder / "classes" / name / "1.png")
    (folder / "labels.txt").write_text("a\nb\nc\nd\n")

    def data(name: str) -> list[str]:
        return ["--data", f"{folder}/{name}"]

    return {
        "missing": (data("nowhere"), 4, "do not exist."),
        "shape": (data("shape.npz"), 4, "is 20×24×3, but the network takes 24×24×3."),
        "names": (data("names.npz"), 4, "holds pictures; the network takes image."),
        "classes": (data("classes.npz"), 4, "label 5 is none of the network's 5 classes."),
        "text": (data("text.npz"), 4, "cannot be read as .npz"),
        "function": (data("data.py:rows"), 4, "failed: ValueError: no camera"),
        "no function": (data("data.py:columns"), 4, "has no function 'columns'."),
        "empty": (data("empty"), 4, "holds no pictures."),
        "folders": (data("classes"), 4, "has 2 class folders, but the network has 5 classes."),
        "labels": (
            ["--labels", f"{folder}/labels.txt"],
            2,
            "There are 4 labels, but 'scores' has 5",
        ),
        "gray": (["--color", "gray"], 2, "preprocessing: gray pictures have 1 channels, but input"),
    }


def test_data_that_do_not_fit_are_a_sentence_and_the_previous_bundle_stays(
    built: Built, tmp_path: Path
) -> None:
    before = tree_digest(built.dist)
    for options, code, says in wrong_data(tmp_path).values():
        done = mlc("build", built.source, "-t", "tflite", "-o", built.dist, *options)
        check(Done(done.code, done.out, done.err), code, says)
        assert tree_digest(built.dist) == before
        assert [p.name for p in built.dist.parent.iterdir() if p.name.startswith(".")] == []


def test_what_goes_wrong_in_a_worker_is_a_sentence_too(built: Built, tmp_path: Path) -> None:
    """A picture that is damaged, met while the original runs; data that differ at every reading."""
    (tmp_path / "pictures").mkdir()
    plain(24, 24).save(tmp_path / "pictures" / "a.png")
    (tmp_path / "pictures" / "b.png").write_bytes(
        (tmp_path / "pictures" / "a.png").read_bytes()[:40]
    )
    done = mlc(
        "build", built.source, "-t", "tflite", "-o", tmp_path / "d", "--data", tmp_path / "pictures"
    )
    assert done.code == Exit.INPUT
    assert f"The picture {tmp_path}/pictures/b.png cannot be read" in done.err
    assert "Traceback" not in done.err
    assert not (tmp_path / "d").exists()


def test_a_terminal_without_the_signs_shows_the_rest(built: Built, tmp_path: Path) -> None:
    done = python(
        f"import sys\nfrom mlc.cli import main\n"
        f"sys.argv = {['mlc', 'build', *built.arguments, '-o', str(tmp_path / 'd')]}\nmain()",
        tmp_path,
        PYTHONIOENCODING="ascii",
    )
    assert done.code == 0, done
    assert "? verified" in done.out


def test_debug_shows_the_traceback_wherever_it_stands(files: Path, tmp_path: Path) -> None:
    for arguments in (["--debug", "build"], ["build", "--debug"]):
        done = subprocess.run(
            [sys.executable, "-m", "mlc", *arguments, str(files / "text.h5"), "-o", "d"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert "Traceback" in done.stderr
        assert "mlc.errors.SourceError" in done.stderr


def test_inspect_shows_sources_and_artifacts(built: Built, files: Path) -> None:
    shown = mlc("inspect", built.dist / "cnn.tflite")
    assert shown.code == 0
    for part in (
        "cnn.tflite",
        "TFLite",
        "image 1×24×24×3 float32",
        "scores 1×5 float32",
        "CONV_2D",
    ):
        assert part in shown.out
    shown = mlc("inspect", files / "good.h5", "--batch", "dynamic")
    assert shown.code == 0
    for part in ("good.h5", "Keras 3.", "left ?×6 float32", "ratio ?×1 float32", "MatMul"):
        assert part in shown.out


def test_doctor_says_what_there_is() -> None:
    done = mlc("doctor")
    assert done.code == 0
    assert "tensorflow" in done.out


@pytest.mark.skipif(os.name != "posix", reason="signals to a group of processes")
class TestInterruption:
    """A build that is ended from outside, as a terminal or a CI system ends it."""

    @pytest.fixture
    def start(
        self, files: Path, tmp_path: Path
    ) -> Iterator[Callable[[float], subprocess.Popen[str]]]:
        started: list[subprocess.Popen[str]] = []

        def start(seconds: float) -> subprocess.Popen[str]:
            """A build that is given so many seconds after its first worker came up."""
            environment = {**os.environ, "MLC_CACHE": str(tmp_path / "cache")}
            command = [sys.executable, "-m", "mlc", "build", str(files / "good.keras")]
            process = subprocess.Popen(
                [*command, "-t", "tflite,onnx", "-o", str(tmp_path / "out" / "dist")],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
                # Where tests run in the background, SIGINT is ignored, and that is inherited.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )
            started.append(process)
            end = time.monotonic() + 60
            # Two workers, and a helper of Python's that tidies up after them.
            while len(children(process.pid)) < 3 and time.monotonic() < end:
                time.sleep(0.02)
            assert process.poll() is None, process.communicate()
            time.sleep(seconds)
            return process

        yield start
        for process in started:
            process.kill()

    @pytest.mark.parametrize("seconds", [0.0, 2.0])
    def test_ctrl_c_leaves_nothing(
        self, seconds: float, start: Callable[[float], Any], tmp_path: Path
    ) -> None:
        process = start(seconds)
        workers = children(process.pid)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the whole group
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (130, "")
        assert err.strip() == "error: Interrupted.\n       Nothing was changed."
        self.check_nothing_is_left(workers, tmp_path)

    def test_the_end_of_a_ci_job_leaves_nothing(
        self, start: Callable[[float], Any], tmp_path: Path
    ) -> None:
        process = start(1.0)
        workers = children(process.pid)
        os.kill(process.pid, signal.SIGTERM)  # to the command alone
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (128 + signal.SIGTERM, "")
        assert "Traceback" not in err
        self.check_nothing_is_left(workers, tmp_path)

    def check_nothing_is_left(self, workers: list[psutil.Process], tmp_path: Path) -> None:
        assert list((tmp_path / "out").iterdir()) == []
        assert list((tmp_path / "cache" / "stages").iterdir()) == []
        end = time.monotonic() + 10
        while any(map(alive, workers)) and time.monotonic() < end:
            time.sleep(0.05)
        assert not any(map(alive, workers)), "a worker lives on without its build"


def children(pid: int) -> list[psutil.Process]:
    """All processes under this one; none where it has just ended."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
