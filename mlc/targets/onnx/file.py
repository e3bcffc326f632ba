"""Reading a .onnx file as what it claims to be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlc.errors import SourceError

__all__ = ["parse"]


def parse(path: Path) -> Any:
    """The file's ModelProto, without weights in files beside it; raises `SourceError`."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model(path, format="protobuf", load_external_data=False)
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from error
    except DecodeError as error:
        raise SourceError(
            f"{path.name} is no ONNX file, or is damaged or cut short.",
            "Download or build it again.",
        ) from error
    # Protobuf accepts an empty file, and much that is something else.
    if not model.graph.output or not model.opset_import:
        raise SourceError(f"{path.name} is no ONNX file, or holds no graph.")
    return model
