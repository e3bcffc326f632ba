"""Generation: what is rendered, from any manifest, whatever people write into it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc.bindings.generate import LANGUAGES, generate, parse
from mlc.bundle.manifest import make_manifest, read_manifest
from mlc.convert.network import Description
from mlc.errors import UsageError
from mlc.report.report import Report
from mlc.store import tree_digest
from tests import stand_ins
from tests.bindings import exam
from tests.command import mlc


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exam.bundle(tmp_path_factory.mktemp("bundle"))


def rendered(manifest: dict[str, Any], language: str, folder: Path) -> str:
    """The one file that is not the same for every model."""
    generate(manifest, LANGUAGES[language], folder)
    name = LANGUAGES[language].file_name(manifest["model"]["name"])
    (file,) = (folder / language).rglob(name)
    return file.read_text(encoding="utf-8")


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_facts_are_those_of_the_manifest(language: str, dist: Path, tmp_path: Path) -> None:
    manifest = read_manifest(dist)
    code = rendered(manifest, language, tmp_path)
    runs = [a for a in manifest["artifacts"] if a["target"] in LANGUAGES[language].targets]
    for fact in (manifest["interface"], manifest["source"]["sha256"], *(a["sha256"] for a in runs)):
        assert f'"{fact}"' in code
    assert "0.875" in code
    assert "三" in code


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_line_fits_and_no_tag_of_a_template_is_left(
    language: str, dist: Path, tmp_path: Path
) -> None:
    generate(read_manifest(dist), LANGUAGES[language], tmp_path)
    for file in (tmp_path / language).rglob("*.*"):
        lines = file.read_text(encoding="utf-8").splitlines()
        assert max(map(len, lines)) <= 120, file
        assert not [line for line in lines if re.search(r"\{%|\{\{|\s$", line)], file
        assert file.suffix != ".jinja"


def test_the_same_bytes_twice_and_models_share_what_is_not_theirs(
    dist: Path, tmp_path: Path
) -> None:
    manifest = read_manifest(dist)
    other = {**manifest, "model": {**manifest["model"], "name": "other-net"}}
    for language in LANGUAGES.values():
        generate(manifest, language, tmp_path / "one")
        generate(manifest, language, tmp_path / "two")
        generate(other, language, tmp_path / "both")
        alone = len(list((tmp_path / "one" / language.name).rglob("*.*")))
        generate(manifest, language, tmp_path / "both")
        assert len(list((tmp_path / "both" / language.name).rglob("*.*"))) == alone + 1
    assert tree_digest(tmp_path / "one") == tree_digest(tmp_path / "two")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_network_without_pictures_and_classes_offers_neither(
    language: str, tmp_path: Path
) -> None:
    network = stand_ins.network({"a": (1, 4), "b": (None, 3)}, {"x": (1, 2)}, ending="MatMul")
    manifest = make_manifest(Report(network, 1, "fp32", "rows", False, ()), tmp_path)
    row = {"file": "m", "sha256": "0" * 64, "bytes": 1, "state": "verified"}
    target = LANGUAGES[language].targets[0]
    code = rendered({**manifest, "artifacts": [{"target": target, **row}]}, language, tmp_path)
    assert "Preprocessing(" not in code
    assert "probabilities" not in code.lower()
    assert re.search(r"preprocessing\W+(nil|null)", code)


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_an_artifact_to_run_there_are_no_bindings(
    language: str, dist: Path, tmp_path: Path
) -> None:
    manifest = read_manifest(dist)
    failed = [{**a, "state": "failed"} for a in manifest["artifacts"]]
    for artifacts in ([], failed):
        with pytest.raises(UsageError, match="bundle has none"):
            generate({**manifest, "artifacts": artifacts}, LANGUAGES[language], tmp_path)
    assert not (tmp_path / language).exists()


@given(name=st.from_regex(r"[\w-][\w.-]{0,20}", fullmatch=True), text=st.text(max_size=60))
@settings(max_examples=50, deadline=None)
def test_whatever_people_write_stays_inside_comments_and_quotes(
    name: str, text: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    network = stand_ins.network(labels=(text, "b", "c"))
    network = network.described(description=Description(name, description=f"*/ {text} */"))
    manifest = make_manifest(Report(network, 1, "fp32", "rows", False, ()), folder)
    row = {"file": "m", "sha256": "0" * 64, "bytes": 1, "state": "verified"}
    for language, quoted in (
        ("typescript", r'"(?:[^"\\\n]|\\.)*"'),
        ("kotlin", r'"(?:[^"\\\n$]|\\.)*"'),
        ("swift", r'"(?:[^"\\\n]|\\.)*"'),
    ):
        target = LANGUAGES[language].targets[0]
        code = rendered({**manifest, "artifacts": [{"target": target, **row}]}, language, folder)
        bare = re.sub(quoted, "", re.sub(r"/\*.*?\*/", "", code, flags=re.DOTALL))
        bare = "\n".join(line for line in bare.split("\n") if not line.lstrip().startswith("//"))
        assert re.fullmatch(r"[\w\s.,:;(){}\[\]=>?|]*", bare), bare
        assert re.search(r"(enum|object|const) [^\W\d]\w*(Model)?\b", bare)


def test_languages_are_named_on_the_command_line(dist: Path, tmp_path: Path) -> None:
    done = mlc("bindings", dist, "--kotlin", "--swift", "-o", tmp_path / "app")
    assert done.code == 0
    assert sorted(p.name for p in (tmp_path / "app").iterdir()) == ["kotlin", "swift"]
    assert "Kotlin: " in done.out
    assert mlc("bindings", dist, "-o", tmp_path / "none").code == 2
    assert mlc("bindings", tmp_path / "app", "--swift").code == 4
    assert [language.name for language in parse("kotlin, swift")] == ["swift", "kotlin"]
    with pytest.raises(UsageError, match="'dart'"):
        parse("dart")


def test_a_build_asks_for_what_its_targets_can_run(tmp_path: Path) -> None:
    (tmp_path / "m.keras").touch()
    done = mlc("build", tmp_path / "m.keras", "-t", "onnx", "--bindings", "swift")
    assert (done.code, "Swift bindings need coreml" in done.err) == (2, True)
