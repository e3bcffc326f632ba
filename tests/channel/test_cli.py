"""The commands: from a real bundle to a device, and a sentence for every mistake."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from mlc.errors import Exit
from tests.channel.bundles import bundle
from tests.channel.server import Fault, host
from tests.command import Built, Done, mlc


def check(done: Done, code: int, says: str) -> None:
    assert done.code == code, done
    assert says in done.err, done
    assert done.err.startswith("error: ")
    assert "Traceback" not in done.err


@pytest.fixture
def key(tmp_path: Path) -> Path:
    done = mlc("channel", "keygen", tmp_path / "key.pem")
    assert done.code == Exit.OK
    assert re.fullmatch(r"[A-Za-z0-9+/]{43}=\n", done.out)
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    return tmp_path / "key.pem"


@pytest.fixture
def site(tmp_path: Path, key: Path) -> Path:
    made = bundle(tmp_path / "dist")
    done = mlc("publish", made, "--to", tmp_path / "site", "--key", key)
    assert done.code == Exit.OK, done
    return tmp_path / "site"


@pytest.mark.xdist_group("build")
def test_from_a_build_to_a_device(built: Built, key: Path, tmp_path: Path) -> None:
    """What was built is published, served, fetched, loaded in its runtime, and withdrawn."""
    site, device = tmp_path / "site", tmp_path / "device"
    done = mlc("publish", built.dist, "--to", site, "--key", key, "--rollout", "100")
    assert done.code == Exit.OK, done
    assert "live" in done.out
    status = json.loads(mlc("channel", "status", site, "--json").out)
    assert status["problems"] == []
    with host(site) as running:
        options = [
            "--name",
            status["models"]["name"],
            "--public-key",
            status["key"],
            "--to",
            device,
        ]
        fetch = ["channel", "fetch", running.url, *options, "--target", "tflite"]
        done = mlc(*fetch)
        assert done.code == Exit.OK, done
        assert done.out.startswith("updated\nruns ")
        (artifact,) = device.rglob("*.tflite")
        assert artifact.read_bytes() == (built.dist / artifact.name).read_bytes()
        assert (artifact.parent / "golden").is_dir()
        assert mlc(*fetch).out.startswith("current\n")
        assert mlc("rollback", site, "--key", key).code == Exit.OK
        assert mlc(*fetch).out == "updated\nruns the model in the app\n"
        running.faults = [Fault("models.json", "status")]
        done = mlc(*fetch)
        assert (done.code, done.out.splitlines()[0]) == (
            Exit.FAILED,
            "failed: network: models.json: status 500.",
        )


def test_a_model_that_does_not_load_is_not_taken(site: Path, tmp_path: Path) -> None:
    key = json.loads(mlc("channel", "status", site, "--json").out)["key"]
    with host(site) as running:
        options = ["--public-key", key, "--to", tmp_path / "device", "--target", "tflite"]
        done = mlc("channel", "fetch", running.url, "--name", "lamp", *options)
    assert done.code == Exit.FAILED
    assert done.out.startswith("failed: self-test: Version 1.0: ")
    assert "runs the model in the app" in done.out


def test_terms_arrive_in_the_document(site: Path, key: Path, tmp_path: Path) -> None:
    options = "--rollout 2.5 --min-app 1.2 --min-app ios=1.3 --below-app web=9 --min-os android=33"
    more = "--condition wifi --condition charging --expires 2999-12-31 --json"
    made = bundle(tmp_path / "two", "2.0")
    arguments = ["--to", site, "--key", key, *options.split(), *more.split()]
    done = mlc("publish", made, *arguments, "--targets", "onnx,tfjs")
    models = json.loads(done.out)
    assert models == json.loads((site / "models.json").read_text())
    assert models["expires"] == "2999-12-31"
    release = models["releases"][0]
    assert release["rollout"] == 250
    assert release["minimum_app"] == {"ios": "1.3", "android": "1.2", "web": "1.2"}
    assert release["below_app"] == {"web": "9"}
    assert release["minimum_os"] == {"android": "33"}
    assert release["conditions"] == ["wifi", "charging"]
    assert sorted(release["variants"][0]["targets"]) == ["onnx", "tfjs"]
    done = mlc("channel", "rollout", site, "50", "--key", key)
    assert done.code == Exit.OK
    assert re.search(r"^2\.0 +50% +onnx", done.out, re.MULTILINE)
    assert re.search(r"^1\.0 +100% +coreml", done.out, re.MULTILINE)
    done = mlc("channel", "status", site)
    assert "ios app ≥ 1.3" in done.out
    assert "the signature and 13 files" in done.out


def test_a_damaged_channel_is_a_failure(site: Path) -> None:
    path = min((site / "files").iterdir())
    path.write_bytes(b"")
    done = mlc("channel", "status", site)
    assert done.code == Exit.FAILED
    assert f"files/{path.name}" in done.out
    assert "verified" not in done.out
    assert len(json.loads(mlc("channel", "status", site, "--json").out)["problems"]) == 1
    (site / "models.json").write_text("{}")
    check(mlc("channel", "status", site), Exit.INPUT, "cannot be read")


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (["--rollout", "101"], Exit.USAGE, "'101' is no share of users."),
        (["--rollout", "0.001"], Exit.USAGE, "'0.001' is no share of users."),
        (["--rollout", "half"], Exit.USAGE, "'half' is no share of users."),
        (["--variant", "b"], Exit.USAGE, "--variant is 'b'."),
        (["--variant", "b=x"], Exit.USAGE, "'x' is no share of users."),
        (["--min-app", "ios=beta"], Exit.USAGE, "--min-app is 'ios=beta'."),
        (["--min-os", "windows=11"], Exit.USAGE, "--min-os is 'windows=11'."),
        (["--expires", "soon"], Exit.USAGE, "--expires is 'soon'."),
        (["--expires", "2020-01-31"], Exit.USAGE, "would have expired on 2020-01-31"),
        (["--targets", "wasm"], Exit.USAGE, "There is no target 'wasm'."),
        (["--sequence", "0"], Exit.USAGE, "Invalid value for '--sequence'"),
        (["--key", "missing.pem"], Exit.USAGE, "The key missing.pem cannot be read"),
        (["--targets", "coreml"], Exit.USAGE, "The bundle has no coreml artifact."),
    ],
)
def test_every_wrong_flag_is_a_sentence(
    options: list[str], code: int, says: str, key: Path, tmp_path: Path
) -> None:
    made = bundle(tmp_path / "dist", targets=("tflite",))
    done = mlc("publish", made, "--to", tmp_path / "site", "--key", key, *options)
    check(done, code, says)
    assert not (tmp_path / "site").exists()


def test_other_mistakes_are_sentences(site: Path, key: Path, tmp_path: Path) -> None:
    unproven = bundle(tmp_path / "unproven", "3.0", level="emitted")
    publish = ["--to", site, "--key", key]
    check(mlc("publish", unproven, *publish), Exit.INPUT, "The coreml artifact was not verified.")
    assert mlc("publish", unproven, *publish, "--allow-unverified").code == Exit.OK
    assert "not verified" in mlc("channel", "status", site).out
    check(mlc("publish", tmp_path, *publish), Exit.INPUT, "is not a bundle")
    check(mlc("channel", "keygen", key), Exit.USAGE, "exists")
    check(mlc("rollback", tmp_path / "dist", "--key", key), Exit.INPUT, "is not a channel")
    check(mlc("channel", "status", tmp_path / "dist"), Exit.INPUT, "cannot be read")
    check(mlc("rollback", site, "--key", key, "--to-version", "9"), Exit.INPUT, "no version '9'")
    file = tmp_path / "file"
    file.write_text("")
    check(mlc("rollback", file, "--key", key), Exit.ENVIRONMENT, "cannot be written")
