"""Publishing: what stands in a channel, what is refused, and that a reader never sees it half-done."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlc.channel import folder as channels
from mlc.channel import keys
from mlc.channel.document import BUCKETS, Models, Release
from mlc.channel.publish import Signing, Terms, publish, rollback, rollout
from mlc.channel.status import status
from mlc.errors import MlcError, SourceError, UsageError
from tests.channel.bundles import Publisher, bundle


@pytest.fixture
def publisher(tmp_path: Path) -> Publisher:
    return Publisher(tmp_path)


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def only(models: Models) -> Release:
    (release,) = models.releases
    return release


def test_a_release_holds_what_each_target_needs(publisher: Publisher) -> None:
    models = publisher.publish("1.0")
    assert (models.name, models.sequence, models.expires) == ("lamp", 1, None)
    release = only(models)
    assert (release.version, release.rollout, release.withdrawn) == ("1.0", BUCKETS, False)
    (variant,) = release.variants
    assert (variant.name, variant.share) == ("main", BUCKETS)
    paths = {target: [f.path for f in m.files] for target, m in variant.targets.items()}
    common = ["golden/cat.raw", "golden/golden.json"]
    assert paths["tflite"] == [*common, "lamp.tflite", "manifest.json"]
    assert paths["tfjs"] == [
        *common,
        "lamp_tfjs/group1-shard1of1.bin",
        "lamp_tfjs/model.json",
        "manifest.json",
    ]
    assert paths["coreml"][2:4] == ["lamp.mlpackage/Data/model", "lamp.mlpackage/Manifest.json"]
    manifest = json.loads((publisher.home / "dist1" / "manifest.json").read_text())
    for model in variant.targets.values():
        assert model.interface == manifest["interface"]
        for file in model.files:
            data = (publisher.site / "files" / file.sha256).read_bytes()
            assert data == (publisher.home / "dist1" / file.path).read_bytes()
            assert (file.sha256, file.bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert not any("report" in f.path for m in variant.targets.values() for f in m.files)


def test_the_site_is_for_everyone_but_the_key(publisher: Publisher) -> None:
    publisher.publish("1.0")
    for path in publisher.site.rglob("*"):
        assert path.stat().st_mode & 0o004, f"the web server cannot read {path}"
    private = publisher.key_file.read_bytes().splitlines()[1]
    assert not any(private in data for data in contents(publisher.site).values())
    inside = publisher.site / "key.pem"
    inside.write_bytes(publisher.key_file.read_bytes())
    with pytest.raises(UsageError, match="lies inside the channel"):
        publisher.publish("2.0", signing=Signing(inside))


def test_the_same_input_gives_the_same_bytes(publisher: Publisher, tmp_path: Path) -> None:
    publisher.publish("1.0", to=tmp_path / "a")
    publisher.publish("1.0", to=tmp_path / "b")
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_new_version_comes_first_and_changes_nothing_that_was_there(publisher: Publisher) -> None:
    publisher.publish("1.0")
    before = contents(publisher.site)
    models = publisher.publish("2.0")
    assert [r.version for r in models.releases] == ["2.0", "1.0"]
    assert models.sequence == 2
    after = contents(publisher.site)
    changed = {name for name, data in before.items() if after[name] != data}
    assert changed == {"models.json"}


def test_publishing_the_same_again_changes_nothing(publisher: Publisher) -> None:
    publisher.publish("1.0")
    before = contents(publisher.site)
    assert publisher.publish("1.0").sequence == 1
    assert contents(publisher.site) == before


def test_a_version_keeps_its_files_for_ever(publisher: Publisher) -> None:
    publisher.publish("1.0")
    before = contents(publisher.site)
    with pytest.raises(UsageError, match="was published with other files"):
        publisher.publish("1.0", arm="retrained")
    assert contents(publisher.site) == before


def test_targets_can_be_added_later(publisher: Publisher) -> None:
    publisher.publish("1.0", targets=("tflite",), arm="x")
    full = bundle(publisher.home / "full", "1.0", arm="x")
    # The Mac that made the Core ML package has its own manifest; the TFLite model stays what it was.
    models = publish(full, publisher.site, publisher.signing, targets=("coreml",))
    assert list(only(models).variants[0].targets) == ["tflite", "coreml"]
    assert models.sequence == 2


def test_terms_are_kept_unless_they_are_given(publisher: Publisher) -> None:
    terms = Terms(rollout=500, minimum_app={"ios": "1.2"}, conditions=("wifi",))
    publisher.publish("1.0", terms=terms)
    release = only(publisher.publish("1.0", terms=Terms(rollout=2500)))
    assert release.rollout == 2500
    assert release.minimum_app == {"ios": "1.2"}
    assert release.conditions == ("wifi",)


def test_variants_share_the_users(publisher: Publisher) -> None:
    publisher.publish("1.0", variant=("a", 5000), arm="a")
    models = publisher.publish("1.0", variant=("b", 5000), arm="b")
    assert [(v.name, v.share) for v in only(models).variants] == [("a", 5000), ("b", 5000)]
    with pytest.raises(UsageError, match=r"more than all users: a 50 %, b 50 %, c 1 %"):
        publisher.publish("1.0", variant=("c", 100), arm="c")
    models = publisher.publish("1.0", variant=("a", 2500), arm="a")
    assert [(v.name, v.share) for v in only(models).variants] == [("a", 2500), ("b", 5000)]


@pytest.mark.parametrize(
    ("level", "says"),
    [("emitted", "was not verified"), ("regressed", "breaks a limit"), ("failed", "it is wrong")],
)
def test_what_is_not_proven_is_not_published(level: str, says: str, publisher: Publisher) -> None:
    with pytest.raises(SourceError, match=says):
        publisher.publish("1.0", level=level)
    assert not publisher.site.exists()
    if level == "failed":
        with pytest.raises(SourceError, match=says):
            publisher.publish("1.0", level=level, unverified=True)
    else:
        models = publisher.publish("1.0", level=level, unverified=True)
        assert {m.state for m in only(models).variants[0].targets.values()} == {level}


@pytest.mark.parametrize("change", ["changed", "missing"])
def test_a_bundle_that_differs_from_its_manifest_is_refused(
    change: str, publisher: Publisher
) -> None:
    made = bundle(publisher.home / "made")
    if change == "changed":
        (made / "lamp_tfjs" / "model.json").write_text("{}")
    else:
        (made / "lamp.onnx").unlink()
    says = "not what its manifest says" if change == "changed" else "cannot be read"
    with pytest.raises(SourceError, match=says):
        publish(made, publisher.site, publisher.signing)
    assert not publisher.site.exists()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"name": "two words"}, "name: 'two words' does not match"),
        ({"terms": Terms(conditions=("wi fi",))}, "conditions/0"),
        ({"terms": Terms(minimum_os={"ios": "beta"})}, "minimum_os/ios"),
        ({"signing": "late"}, "would have expired on 2020-01-31"),
        ({"targets": ("onnx", "tflite"), "signing": "number 0"}, "is not above 0"),
    ],
    ids=["name", "condition", "version", "expires", "sequence"],
)
def test_what_a_channel_cannot_say_is_refused(
    more: dict[str, Any], says: str, publisher: Publisher
) -> None:
    signings = {
        "late": replace(publisher.signing, expires="2020-01-31"),
        "number 0": replace(publisher.signing, sequence=0),
    }
    if "signing" in more:
        more = {**more, "signing": signings[more["signing"]]}
    with pytest.raises(UsageError, match=says):
        publisher.publish("1.0", **more)
    assert not publisher.site.exists()


def test_a_bundle_lacks_a_target_or_all(publisher: Publisher) -> None:
    made = bundle(publisher.home / "made", targets=("tflite",))
    with pytest.raises(UsageError, match="has no coreml artifact"):
        publish(made, publisher.site, publisher.signing, targets=("coreml",))
    empty = bundle(publisher.home / "empty", targets=())
    with pytest.raises(SourceError, match="has no artifacts"):
        publish(empty, publisher.site, publisher.signing)


def test_one_channel_is_of_one_model(publisher: Publisher) -> None:
    publisher.publish("1.0")
    with pytest.raises(UsageError, match="is the channel of 'lamp', not of 'fan'"):
        publisher.publish("1.0", name="fan")


def test_the_expiry_is_kept_until_another_is_given(publisher: Publisher) -> None:
    signing = replace(publisher.signing, expires="2999-12-31")
    assert publisher.publish("1.0", signing=signing).expires == "2999-12-31"
    assert publisher.publish("2.0").expires == "2999-12-31"
    signing = replace(publisher.signing, expires="3000-12-31")
    models = publisher.publish("2.0", signing=signing)
    assert (models.expires, models.sequence) == ("3000-12-31", 3)


def test_a_lost_channel_goes_on_with_a_higher_number(publisher: Publisher) -> None:
    publisher.publish("1.0", signing=replace(publisher.signing, sequence=41))
    assert publisher.publish("2.0").sequence == 42
    with pytest.raises(UsageError, match="is not above 42: devices would refuse it"):
        publisher.publish("3.0", signing=replace(publisher.signing, sequence=42))


def test_another_key_is_refused_unless_the_apps_know_it(publisher: Publisher) -> None:
    publisher.publish("1.0")
    keys.generate(publisher.home / "other.pem")
    other = Signing(publisher.home / "other.pem")
    with pytest.raises(UsageError, match="apps that trust only the other one would refuse it"):
        publisher.publish("2.0", signing=other)
    models = publisher.publish("2.0", signing=replace(other, new_key=True))
    assert models.sequence == 2
    assert status(publisher.site).key == keys.public_text(keys.load(other.key))


@pytest.mark.parametrize("damage", ["changed", "unsigned", "cut", "missing signature"])
def test_nothing_is_signed_on_top_of_what_others_changed(damage: str, publisher: Publisher) -> None:
    """Or whoever can write to the host would get their release signed with our next one."""
    publisher.publish("1.0")
    path = publisher.site / "models.json"
    document = path.read_bytes()
    signature = publisher.site / channels.signature_path(document)
    if damage == "missing signature":
        signature.unlink()
    else:
        changed = document.replace(b'"1.0"', b'"6.6"') if damage != "cut" else document[:100]
        path.write_bytes(changed)
        if damage == "changed":  # with everything in its place
            forged = publisher.site / channels.signature_path(changed)
            forged.write_bytes(signature.read_bytes())
            forged.with_suffix(".pem").write_bytes(signature.with_suffix(".pem").read_bytes())
    before = contents(publisher.site)
    for change in (
        lambda: publisher.publish("2.0"),
        lambda: rollback(publisher.site, publisher.signing),
        lambda: rollout(publisher.site, publisher.signing, 1),
    ):
        with pytest.raises(SourceError, match=r"is not signed by|cannot be read"):
            change()
    assert contents(publisher.site) == before


def test_a_rollback_is_a_new_document_with_older_files(publisher: Publisher) -> None:
    for version in ("1.0", "2.0", "3.0"):
        publisher.publish(version)
    before = contents(publisher.site)
    models = rollback(publisher.site, publisher.signing)
    assert models.sequence == 4
    assert [(r.version, r.withdrawn) for r in models.releases] == [
        ("3.0", True),
        ("2.0", False),
        ("1.0", False),
    ]
    assert {n for n in contents(publisher.site) if n.startswith("files/")} == {
        n for n in before if n.startswith("files/")
    }


def test_a_rollback_goes_to_the_version_that_is_named(publisher: Publisher) -> None:
    for version in ("1.0", "2.0", "3.0"):
        publisher.publish(version)
    models = rollback(publisher.site, publisher.signing, "1.0")
    assert [r.withdrawn for r in models.releases] == [True, True, False]
    models = rollback(publisher.site, publisher.signing, "2.0")
    assert [r.withdrawn for r in models.releases] == [True, False, False], "and forth again"
    with pytest.raises(SourceError, match=r"no version '9.0'.* It has 3.0, 2.0, 1.0"):
        rollback(publisher.site, publisher.signing, "9.0")


def test_all_releases_can_be_withdrawn_and_published_again(publisher: Publisher) -> None:
    publisher.publish("1.0")
    rollback(publisher.site, publisher.signing)
    with pytest.raises(UsageError, match="withdrawn already"):
        rollback(publisher.site, publisher.signing)
    with pytest.raises(UsageError, match="withdrawn already"):
        rollout(publisher.site, publisher.signing, 100)
    models = publisher.publish("1.0")
    assert not only(models).withdrawn
    assert models.sequence == 3


def test_a_rollout_grows(publisher: Publisher) -> None:
    publisher.publish("1.0")
    publisher.publish("2.0", terms=Terms(rollout=100))
    models = rollout(publisher.site, publisher.signing, 5000)
    assert [r.rollout for r in models.releases] == [5000, BUCKETS]
    models = rollout(publisher.site, publisher.signing, 9000, "1.0")
    assert [r.rollout for r in models.releases] == [5000, 9000]


@pytest.mark.parametrize("change", [rollback, lambda f, s: rollout(f, s, 1)])
def test_what_is_no_channel_is_told(change: Any, publisher: Publisher) -> None:
    with pytest.raises(SourceError, match="is not a channel"):
        change(publisher.site, publisher.signing)
    assert not publisher.site.exists()


def test_a_full_disk_leaves_the_channel_as_it_was(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before each of the files that a release writes, models.json last."""
    publisher.publish("1.0")
    made = bundle(publisher.home / "made", "2.0")
    before, replaced, left = contents(publisher.site), os.replace, [0]

    def full(source: str, to: Path) -> None:
        if left[0] == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        replaced(source, to)

    monkeypatch.setattr(os, "replace", full)
    for stop in range(10):  # what was there stays, so each time there is one more to add
        left[0] = 1 if stop < 7 else stop - 7
        with pytest.raises(OSError, match="No space"):
            publish(made, publisher.site, publisher.signing)
        after = contents(publisher.site)
        assert {name: after[name] for name in before} == before
        assert not any(".writing" in name for name in after)
        assert not status(publisher.site).problems
    monkeypatch.undo()
    assert publish(made, publisher.site, publisher.signing).sequence == 2
    assert len(contents(publisher.site)) == len(before) + 9


def test_two_writers_do_not_meet(publisher: Publisher) -> None:
    publisher.publish("1.0")
    descriptor = os.open(publisher.site, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(UsageError, match="Another mlc is writing"):
        publisher.publish("2.0")
    os.close(descriptor)
    publisher.publish("2.0")


def test_leftovers_of_a_killed_publication_go(publisher: Publisher) -> None:
    publisher.publish("1.0")
    (publisher.site / "files" / ".writing-abc").write_bytes(b"half")
    publisher.publish("2.0")
    assert not (publisher.site / "files" / ".writing-abc").exists()


def test_a_damaged_file_is_written_anew(publisher: Publisher) -> None:
    models = publisher.publish("1.0")
    path = publisher.site / "files" / only(models).variants[0].targets["tflite"].files[0].sha256
    path.write_bytes(b"damaged")
    assert status(publisher.site).problems
    publisher.publish("1.0")
    assert not status(publisher.site).problems


def test_a_reader_of_a_live_channel_never_sees_it_half_done(publisher: Publisher) -> None:
    """What `status` verifies is what a device would: it runs all the time while releases come and go."""
    publisher.publish("1.0")
    seen: list[int] = []
    wrong: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                found = status(publisher.site, publisher.public)
            except MlcError as error:
                wrong.append(error.message)
            else:
                wrong.extend(found.problems)
                seen.append(found.models.sequence)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(2, 8):
            publisher.publish(f"{number}.0")
            rollback(publisher.site, publisher.signing)
    finally:
        done.set()
        reader.join()
    assert not wrong
    assert len(set(seen)) > 5, "the reader was too slow to see anything"
    assert seen == sorted(seen)
