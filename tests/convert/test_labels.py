"""Labels: where they come from, and that there are as many as classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlc.convert.labels import check_labels, read_labels
from mlc.errors import UsageError
from tests import stand_ins


@pytest.mark.parametrize(
    "content",
    [
        b"hot dog\nnot hot dog\n",
        b"hot dog\r\nnot hot dog",
        b"\xef\xbb\xbfhot dog\nnot hot dog\n",  # with a byte order mark, as Windows editors write
        b"\n  hot dog  \n\nnot hot dog\n\n",
    ],
)
def test_a_file_has_a_label_per_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_bytes(content)
    assert read_labels(str(file)) == ("hot dog", "not hot dog")
    assert read_labels(file) == ("hot dog", "not hot dog")


def test_a_list_is_taken_as_it_is() -> None:
    assert read_labels(["0", " one "]) == ("0", " one ")


@pytest.mark.parametrize("content", [b"", b"\n \n", b"\xff\xfe\x00"])
def test_a_file_without_text_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(UsageError, match=r"labels\.txt"):
        read_labels(str(tmp_path / "labels.txt"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing\.txt cannot be read"):
        read_labels(str(tmp_path / "missing.txt"))


@pytest.mark.parametrize("value", [5, [1, 2], {"a": 1}, None])
def test_what_is_no_list_of_texts_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="The labels are"):
        read_labels(value)


def named(count: int, columns: int | None) -> Any:
    labels = tuple(f"class {k}" for k in range(count))
    return stand_ins.network(outputs={"scores": (1, columns)}, labels=labels)


@pytest.mark.parametrize(("count", "columns"), [(0, 3), (3, 3), (2, 1), (1, 1), (7, None)])
def test_as_many_labels_as_classes_are_right(count: int, columns: int | None) -> None:
    check_labels(named(count, columns))


def test_the_background_label_is_thought_of() -> None:
    with pytest.raises(UsageError, match="1001 labels, but 'scores' has 1000 classes") as caught:
        check_labels(named(1001, 1000))
    assert "background" in caught.value.hint


@pytest.mark.parametrize(("count", "columns"), [(3, 1), (1, 2), (5, 3)])
def test_any_other_count_is_refused(count: int, columns: int) -> None:
    with pytest.raises(UsageError, match=f"There are {count} labels") as caught:
        check_labels(named(count, columns))
    assert "background" not in caught.value.hint


def test_of_several_outputs_nobody_knows_which_is_meant() -> None:
    outputs: dict[str, stand_ins.Shape] = {"boxes": (1, 4), "scores": (1, 3)}
    check_labels(stand_ins.network(outputs=outputs, labels=("a", "b")))
