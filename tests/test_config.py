"""mlc.toml and flags: what they mean together, and that no mistake is passed over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlc import targets
from mlc.config import BuildConfig, DataConfig, load, read_options, resolve
from mlc.convert.preprocessing import Preprocessing
from mlc.convert.read import ReadOptions
from mlc.errors import UsageError

SOURCE = Path("model.h5")


def resolved(settings: dict[str, Any] | None = None, **flags: Any) -> BuildConfig:
    return resolve(SOURCE, None, settings or {}, flags)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, text: str, name: str = "mlc.toml") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_without_a_file_there_are_defaults(folder: Path) -> None:
    assert load(folder / "model.h5", None) == {}
    config = resolved()
    assert config.description.name == "model"
    assert config.output == Path("dist")
    assert config.targets == targets.NAMES
    assert config.recipe.name == "fp32"
    assert config.preprocessing is None
    assert config.data == DataConfig()
    assert config.cache


def test_the_file_beside_the_source_comes_before_the_one_here(folder: Path) -> None:
    write(folder, 'name = "here"')
    source = folder / "models" / "model.h5"
    assert load(source, None) == {"name": "here"}
    write(source.parent, 'name = "beside"')
    assert load(source, None) == {"name": "beside"}
    other = write(folder, 'name = "other"', "other.toml")
    assert load(source, other) == {"name": "other"}


def test_paths_start_from_the_folder_of_the_file(folder: Path) -> None:
    models = folder / "models"
    write(models, 'labels = "labels.txt"\ndata = "data.py:rows"')
    for name in ("labels.txt", "data.py"):
        write(models, "a\nb", name)
    settings = load(models / "model.h5", None)
    assert settings == {
        "labels": str(models / "labels.txt"),
        "data": f"{models / 'data.py'}:rows",
    }
    assert resolved(settings).labels == ("a", "b")


def test_a_data_module_is_no_path(folder: Path) -> None:
    write(folder, 'data = "package.module:rows"')
    assert load(SOURCE, None)["data"] == "package.module:rows"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name = model", "is not valid TOML"),
        ("name = ", "is not valid TOML"),
        ("nmae = 'x'", "unknown field 'nmae'"),
        ("[preprocess]\nscale = 1", "unknown field 'preprocess'"),
        ("name = 5", "name is 5. It must be text in quotes"),
        ("version = 1.0", "version is 1.0. It must be text in quotes"),
        ("targets = 5", "It must be text in quotes or a list of texts"),
        ("targets = [1]", "It must be text in quotes or a list of texts"),
        ("labels = [0, 1]", "It must be text in quotes or a list of texts"),
        ("recipe = 8", "recipe is 8"),
        ("data = ['a']", "data is ['a']"),
        ("preprocessing = 'rgb'", "preprocessing is 'rgb'. It must be a table"),
        ("limits = 5", "limits is 5. It must be a table"),
    ],
)
def test_mistakes_in_the_file_name_file_and_field(text: str, says: str, folder: Path) -> None:
    write(folder, text)
    with pytest.raises(UsageError, match=r"mlc\.toml") as caught:
        load(SOURCE, None)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_text_at_all_is_refused(folder: Path) -> None:
    (folder / "mlc.toml").write_bytes(b"\xff\xfe\x00n")
    with pytest.raises(UsageError, match="is not valid TOML"):
        load(SOURCE, None)


def test_a_missing_config_is_named(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"other\.toml does not exist"):
        load(SOURCE, folder / "other.toml")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"recipe": "int4"}, "no recipe 'int4'"),
        ({"targets": "tflite,wasm"}, "no target 'wasm'"),
        ({"targets": ["tflite", "wasm"]}, "no target 'wasm'"),
        ({"targets": " , "}, "No target was named"),
        ({"preprocessing": {"colour": "rgb"}}, "unknown field 'colour'"),
        ({"preprocessing": {"scale": "1/255"}}, "scale is '1/255'"),
        ({"limits": {"max_sise": 5}}, "no limit 'max_sise'"),
        ({"labels": "missing.txt"}, "missing.txt cannot be read"),
    ],
)
def test_mistakes_inside_are_named(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolved(settings)
    assert says in caught.value.message
    assert caught.value.hint


def test_flags_win_over_the_file() -> None:
    settings = {
        "name": "file",
        "author": "somebody",
        "targets": ["onnx", "tflite"],
        "recipe": "fp16",
        "preprocessing": {"scale": 2.0, "color": "bgr"},
        "limits": {"max_size": "4MB"},
    }
    config = resolved(settings, name="flag", scale=3.0, limits=[("max_size", "onnx=1MB")])
    assert (config.description.name, config.description.author) == ("flag", "somebody")
    assert config.targets == ("tflite", "onnx"), "in the order of the registry"
    assert config.recipe.name == "fp16"
    assert config.preprocessing == Preprocessing(scale=3.0, color="bgr")
    assert config.limits["onnx"].max_size == 1_000_000
    assert config.limits["tflite"].max_size == 4_000_000


def test_flags_that_were_not_given_change_nothing() -> None:
    nothing = dict.fromkeys(["targets", "recipe", "data", "samples", "scale", "batch", "ios"])
    assert resolved({}, **nothing) == resolved()


def test_settings_of_training_may_wait_in_the_file_for_a_flag() -> None:
    waiting: dict[str, Any] = {"epochs": 20, "train_data": "train"}
    assert not resolved(waiting).training.asked
    assert resolved(waiting, prune="0.5").training.epochs == 20


def test_an_empty_table_declares_raw_pixels() -> None:
    assert resolved({"preprocessing": {}}).preprocessing == Preprocessing()


@pytest.mark.parametrize("name", ["sampels", "int8", "output", "Data"])
def test_a_setting_that_nothing_knows_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"no setting '{name}'") as caught:
        resolved({}, **{name: 3})
    assert "samples" in caught.value.hint


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("a/my model.h5", "my_model"),
        ("mobilenet_v2_1.0_224.keras", "mobilenet_v2_1.0_224"),
        ("saved", "saved"),
        ("saved/", "saved"),
        ("café.keras", "café"),
    ],
)
def test_the_source_gives_its_name(source: str, name: str) -> None:
    assert resolve(Path(source), None, {}, {}).description.name == name


def test_the_current_folder_has_a_name_too(folder: Path) -> None:
    assert resolve(Path("."), None, {}, {}).description.name == folder.name


def test_limits_hold_for_targets_that_are_not_built_too() -> None:
    """`mlc validate` judges any artifact, whatever mlc.toml says of builds."""
    config = resolved({"targets": ["tflite"]}, limits=[("max_size", "onnx=1kB")])
    assert config.limits["onnx"].max_size == 1000


@pytest.mark.parametrize(
    "name", ["manifest.json", "failed", "..", ".", ".hidden", "a/b", "a b", "", "../up", "c:d"]
)
def test_a_name_must_be_one_of_a_file(name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a file name"):
        resolved({}, name=name)


def test_batches_and_shapes() -> None:
    assert read_options({}) == ReadOptions(batch=1)
    assert read_options({"batch": "dynamic"}).batch is None
    assert read_options({"batch": 4}).batch == 4
    assert read_options({"shapes": {"x": [1, None, 3]}}).shapes == {"x": (1, None, 3)}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"batch": 0}, "The batch is 0"),
        ({"batch": -1}, "The batch is -1"),
        ({"batch": "many"}, "The batch is 'many'"),
        ({"shapes": {"x": (1, 0)}}, "The shape of input 'x' is (1, 0)"),
        ({"shapes": {"x": (1, "a")}}, "The shape of input 'x'"),
    ],
)
def test_no_batch_and_no_dimension_is_below_one(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_options(settings)
    assert says in caught.value.message


@pytest.mark.parametrize("span", [(1, 0), (0, 0), (float("nan"), 1), (0, float("inf"))])
def test_an_input_range_goes_upwards(span: Any) -> None:
    assert resolved({}, input_range=(-1, 1)).data.input_range == (-1.0, 1.0)
    with pytest.raises(UsageError, match="The input range is"):
        resolved({}, input_range=span)


def test_python_callers_may_give_paths(folder: Path) -> None:
    write(folder, "a\nb", "labels.txt")
    config = resolved({}, data=folder / "x.npz", labels=folder / "labels.txt", mean=0.5)
    assert config.data.data == str(folder / "x.npz")
    assert config.labels == ("a", "b")
    assert config.preprocessing == Preprocessing(mean=(0.5,))


def test_ops_of_core_ml_in_float32() -> None:
    assert resolved().options.coreml_float32_ops == ()
    in_the_file = {"coreml_float32_ops": ["softmax", "exp"]}
    assert resolved(in_the_file).options.coreml_float32_ops == ("exp", "softmax")
    by_flag = resolved(in_the_file, coreml_float32_ops="layer_norm, ,a/b")
    assert by_flag.options.coreml_float32_ops == ("a/b", "layer_norm")


def test_integer_inputs_and_outputs_need_a_recipe_of_integers() -> None:
    assert resolved(recipe="int8", io="uint8").options.io == "uint8"
    assert resolved({"recipe": "w4a8"}, io="int8").options.io == "int8"
    assert resolved(io="float").options.io == "float"
    for recipe in ("fp32", "fp16", "int8-weights", "w8a16", "w4a8-palette"):
        with pytest.raises(
            UsageError, match=f"computes in 8-bit integers, which {recipe} does not"
        ):
            resolved(recipe=recipe, io="int8")
    with pytest.raises(UsageError, match="TFLite, which is not among the targets"):
        resolved(recipe="int8", targets="onnx", io="int8")


def test_integer_inputs_in_the_file_wait_for_a_recipe() -> None:
    """`mlc validate` reads the same file, and knows of no recipe."""
    assert resolved({"io": "int8"}).options.io == "int8"
    for settings, flags in (({"io": "int16"}, {}), ({}, {"io": "int16"})):
        with pytest.raises(UsageError, match="Use one of float, int8, uint8"):
            resolved(settings, recipe="int8", **flags)
