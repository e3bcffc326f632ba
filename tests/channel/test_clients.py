"""Every client against a real server: what goes wrong changes nothing, and afterwards all is well again.

One table for all languages: a client that lags behind fails here.
"""

from __future__ import annotations

import base64
import json
import random
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mlc.channel import keys
from mlc.channel.publish import Signing, Terms, rollback
from tests.channel.bundles import Publisher
from tests.channel.drivers import LANGUAGES, Driver
from tests.channel.server import Fault, host
from tests.channel.world import SHARD, World

VECTORS = json.loads((Path(__file__).parents[2] / "docs" / "channel_vectors.json").read_text())


_HEAVY = {"kotlin": [pytest.mark.apps], "swift": [pytest.mark.apps]}


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=_HEAVY.get(name, [])) for name in LANGUAGES]
)
def driver(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Driver]:
    """The client of one language."""
    running = Driver(LANGUAGES[request.param](tmp_path_factory.mktemp(request.param)))
    yield running
    running.close()


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory) -> Publisher:
    return Publisher(tmp_path_factory.mktemp("publisher"))


@pytest.fixture(scope="module")
def site(publisher: Publisher) -> Path:
    """A channel with version 1.0."""
    publisher.publish("1.0", targets=("tfjs",), size=200_000)
    return publisher.site


@pytest.fixture
def world(driver: Driver, publisher: Publisher, site: Path, tmp_path: Path) -> Iterator[World]:
    """A device that runs version 1.0 of the channel."""
    shutil.copytree(site, tmp_path / "site")
    with host(tmp_path / "site") as running:
        made = World(publisher, running, driver, tmp_path / "device")
        assert made.check()["kind"] == "updated"
        assert made.active() == "1.0"
        running.requests.clear()
        yield made


@pytest.mark.parametrize("case", VECTORS["bucket"], ids=lambda c: f"{c['purpose']} {c['user']}")
def test_buckets(driver: Driver, case: dict[str, Any]) -> None:
    assert driver.ask("bucket", **case) == {"bucket": case["bucket"]}


@pytest.mark.parametrize("case", VECTORS["at_least"], ids=lambda c: f"{c['version']} {c['bound']}")
def test_versions(driver: Driver, case: dict[str, Any]) -> None:
    assert driver.ask("at_least", **case) == {"at_least": case["at_least"]}


@pytest.mark.parametrize("case", VECTORS["choose"]["cases"], ids=lambda c: c["why"])
def test_choices(driver: Driver, case: dict[str, Any]) -> None:
    expected = {name: case[name] for name in ("version", "variant", "digest")}
    models = VECTORS["choose"]["models"]
    assert driver.ask("choose", models=models, device=case["device"]) == expected


@pytest.mark.parametrize("case", VECTORS["signature"], ids=lambda c: c["why"])
def test_signatures(driver: Driver, case: dict[str, Any]) -> None:
    assert driver.ask("verifies", **case) == {"verifies": case["verifies"]}


def test_signatures_of_many_keys(driver: Driver) -> None:
    """By OpenSSL, as `cryptography` has it; then with one bit of the signature or the data changed."""
    chance = random.Random(7)
    for _ in range(40):
        key = Ed25519PrivateKey.from_private_bytes(chance.randbytes(32))
        data = chance.randbytes(chance.randrange(1, 200))
        signed = bytearray(key.sign(data) + data)
        for expected in (True, False):
            texts = (signed[:64], signed[64:], key.public_key().public_bytes_raw())
            names = ("signature", "data", "key")
            fields = {n: base64.b64encode(t).decode() for n, t in zip(names, texts, strict=True)}
            assert driver.ask("verifies", **fields) == {"verifies": expected}
            signed[chance.randrange(len(signed))] ^= 1 << chance.randrange(8)


def _publish(world: World) -> None:
    world.publish("2.0")


def _then(change: Callable[[World], None]) -> Callable[[World], None]:
    """Version 2.0 is published, and then something else happens to the channel."""

    def prepare(world: World) -> None:
        world.publish("2.0")
        change(world)

    return prepare


@dataclass(frozen=True)
class Case:
    """One check of a device that runs 1.0, with something wrong; then one with nothing wrong any more.

    `reasons` are those a client may give: some platforms notice a cut connection before they count
    bytes. `touched`: what was downloaded whole may stay for the next time.
    """

    name: str
    reasons: tuple[str, ...]
    fault: Fault | None = None
    prepare: Callable[[World], None] = _publish
    check: Mapping[str, Any] = field(default_factory=dict)
    touched: bool = False

    def __str__(self) -> str:
        return self.name


NETWORK, SIGNATURE, DOCUMENT, DOWNLOAD = "network", "signature", "document", "download"


def _network(path: str, where: str, touched: bool = False) -> list[Case]:
    return [
        Case(f"{where}: server error", (NETWORK,), Fault(path, "status", 500), touched=touched),
        Case(f"{where}: missing", (NETWORK,), Fault(path, "status", 404), touched=touched),
        Case(f"{where}: no answer", (NETWORK,), Fault(path, "reset"), touched=touched),
        Case(f"{where}: stalls", (NETWORK,), Fault(path, "stall"), touched=touched),
    ]


CASES = [
    *_network("models.json", "document"),
    *_network("/signatures/", "signature"),
    *_network("{shard}", "weights", touched=True),
    *_network("/files/", "every file", touched=True),
    # Its signature would be under another name, so it is simply not found.
    Case("document: one bit", (NETWORK,), Fault("models.json", "flip")),
    Case("document: cut", (NETWORK,), Fault("models.json", "cut")),
    Case("document: endless", (NETWORK,), Fault("models.json", "endless")),
    Case("document: not modified, unasked", (NETWORK,), Fault("models.json", "status", 304)),
    Case("signature: one bit", (SIGNATURE,), Fault("/signatures/", "flip")),
    Case("signature: cut", (SIGNATURE, NETWORK), Fault("/signatures/", "cut")),
    Case("signature: endless", (NETWORK,), Fault("/signatures/", "endless")),
    Case("weights: one bit", (DOWNLOAD,), Fault("{shard}", "flip"), touched=True),
    Case("weights: cut", (DOWNLOAD, NETWORK), Fault("{shard}", "cut"), touched=True),
    Case("weights: endless", (NETWORK,), Fault("{shard}", "endless"), touched=True),
    Case("disk full", ("storage",), check={"file_limit": 64_000}, touched=True),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_fault_changes_nothing_and_passes(world: World, case: Case) -> None:
    case.prepare(world)
    before = world.files()
    if case.fault:
        path = case.fault.path.format(shard=world.shard("2.0").name)
        world.host.faults = [replace(case.fault, path=path)]
        if case.fault.status == 304:
            forget_etag(world)
            before = world.files()
    limit = case.check.get("file_limit")
    if limit:
        limited = world.driver.limited(limit)
        answer = world.ask("check", limited, quota=limit)
        limited.close()
    else:
        start = time.monotonic()
        answer = world.check()
        assert time.monotonic() - start < 5, "a host that says nothing more is not waited for"
    assert answer is not None
    assert (answer["kind"], answer["version"]) == ("failed", "1.0")
    assert answer["reason"] in case.reasons, answer
    assert world.active() == "1.0"
    unchanged(world, before, case.touched)
    if limit:
        assert len(world.models()) == 1, "the disk is full: nothing stays"
    world.host.faults = []
    assert world.check()["kind"] == "updated"
    assert world.active() == "2.0"


def test_a_slow_network_is_no_fault(world: World) -> None:
    """Longer in all than a client is patient, but never silent for so long."""
    world.publish("2.0")
    world.host.faults = [Fault(world.shard("2.0").name, "drip")]
    assert world.check()["kind"] == "updated"
    assert world.active() == "2.0"


def unchanged(world: World, before: Mapping[str, str], touched: bool) -> None:
    after = world.files()
    if touched:
        after = {name: digest for name, digest in after.items() if name in before}
        before, after = (dict(f, **{"state.json": ""}) for f in (before, after))
    assert after == before


def forget_etag(world: World) -> None:
    """As if the host had never given one."""
    state = world.device / "state.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "etag": None}))


def resigned(world: World) -> None:
    """Whoever holds the host signs everything with a key of their own."""
    other = Publisher(world.publisher.home / f"intruder{world.device.parent.name}")
    world.serve(
        other.home / "nothing" if not other.publish("2.0", targets=("tfjs",)) else other.site
    )


REFUSED = [
    Case("another key", (SIGNATURE,), prepare=resigned),
    Case("no JSON", (DOCUMENT,), prepare=_then(lambda w: w.sign(b"<html>hello</html>"))),
    Case("no text", (DOCUMENT,), prepare=_then(lambda w: w.sign(b"\xff\xfe\x00"))),
    Case("empty", (DOCUMENT,), prepare=_then(lambda w: w.sign(b""))),
    Case("null", (DOCUMENT,), prepare=_then(lambda w: w.sign(b"null"))),
    Case("a list", (DOCUMENT,), prepare=_then(lambda w: w.sign(b"[]"))),
    Case("a later format", (DOCUMENT,), prepare=_then(lambda w: w.change(format=2))),
    Case("another channel", (DOCUMENT,), prepare=_then(lambda w: w.change(name="fan"))),
    Case("no name", (DOCUMENT,), prepare=_then(lambda w: w.change(name=None))),
    Case("a wrong sequence", (DOCUMENT,), prepare=_then(lambda w: w.change(sequence="3"))),
    Case("a broken sequence", (DOCUMENT,), prepare=_then(lambda w: w.change(sequence=3.5))),
    Case("a wrong date", (DOCUMENT,), prepare=_then(lambda w: w.change(expires="soon"))),
    Case("no releases", (DOCUMENT,), prepare=_then(lambda w: w.change(releases=[]))),
    Case("wrong releases", (DOCUMENT,), prepare=_then(lambda w: w.change(releases=[7]))),
    Case("expired", ("expired",), prepare=_then(lambda w: w.change(expires="2020-01-31"))),
]


def _inside(path: str, value: Any) -> Case:
    """The newest release with another value at a place."""

    def change(world: World) -> None:
        document = json.loads((world.site / "models.json").read_bytes())
        at = document["releases"][0]
        *way, last = (int(p) if p.isdecimal() else p for p in path.split("/"))
        for step in way:
            at = at[step]
        at[last] = value
        world.change(releases=document["releases"])

    return Case(f"{path} is {value!r}", (DOCUMENT,), prepare=_then(change))


def _without(name: str) -> Case:
    """The document lacks a field, at its top or in its newest release."""

    def change(world: World) -> None:
        document = json.loads((world.site / "models.json").read_bytes())
        del (document if name in document else document["releases"][0])[name]
        world.sign(json.dumps(document).encode())

    return Case(f"without {name}", (DOCUMENT,), prepare=_then(change))


_MODEL = "variants/0/targets/tfjs"
REFUSED += [
    _inside("version", 2),
    _inside("withdrawn", "no"),
    _inside("rollout", 10_001),
    _inside("rollout", 0.5),
    _inside("minimum_app", None),
    _inside("minimum_os", {"web": "new"}),
    _inside("conditions", "wifi"),
    _inside("variants", []),
    _inside("variants/0/share", -1),
    _inside("variants/0/targets", []),
    _inside(f"{_MODEL}/digest", "../../state.json"),
    _inside(f"{_MODEL}/artifact", None),
    _inside(f"{_MODEL}/interface", "A" * 64),
    _inside(f"{_MODEL}/files", []),
    *(
        _inside(f"{_MODEL}/files/0/path", path)
        for path in ("../evil", "/evil", "a//b", "a/.b", "a\\b", "a/../b", "a\nb", "", "a/")
    ),
    _inside(f"{_MODEL}/files/0/sha256", "0" * 63),
    _inside(f"{_MODEL}/files/0/bytes", -1),
    *map(_without, ("format", "name", "sequence", "expires", "releases")),
    *map(_without, ("version", "withdrawn", "rollout", "minimum_app", "below_app", "minimum_os")),
    *map(_without, ("conditions", "variants")),
]


@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_a_document_that_is_not_for_us_changes_nothing(world: World, case: Case) -> None:
    case.prepare(world)
    before = world.files()
    answer = world.check()
    assert (answer["kind"], answer["version"]) == ("failed", "1.0")
    assert answer["reason"] in case.reasons
    assert world.files() == before
    assert not world.host.answers("/files/")


def test_properties_of_later_versions_are_ignored(world: World) -> None:
    world.publish("2.0")
    world.change(about="more", sequence=9)
    assert world.check()["kind"] == "updated"


def test_either_of_two_keys_is_enough(world: World) -> None:
    """How a key is replaced: apps that know both go first."""
    keys.generate(world.device / "next.pem")
    signing = Signing(world.device / "next.pem", new_key=True)
    public = keys.public_text(keys.load(signing.key))
    world.publish("2.0", signing=signing)
    assert world.check()["reason"] == SIGNATURE
    world.keys = ["", "AAAA", world.publisher.public, public]
    assert world.check()["kind"] == "updated"


def test_an_old_document_is_refused_with_its_right_signature(world: World, site: Path) -> None:
    world.publish("2.0")
    assert world.check()["version"] == "2.0"
    world.serve(site)
    before = world.files()
    answer = world.check()
    assert (answer["kind"], answer["reason"], answer["version"]) == ("failed", "replay", "2.0")
    assert world.files() == before


def test_a_document_is_remembered_even_if_its_files_are_not_there(world: World, site: Path) -> None:
    """Or an old one could be played back to a device whose download had failed."""
    world.publish("2.0")
    world.host.faults = [Fault("/files/", "status")]
    assert world.check()["reason"] == "network"
    world.host.faults = []
    world.serve(site)
    assert world.check()["reason"] == "replay"
    assert world.active() == "1.0"


def test_what_has_not_changed_is_asked_for_once(world: World) -> None:
    answer = world.check()
    assert (answer["kind"], answer["version"]) == ("current", "1.0")
    assert world.host.requests == [("/models.json", 304)]


def test_a_host_without_etags_is_asked_for_the_whole_document(world: World) -> None:
    world.host.faults = [Fault("models.json", "without etag")]
    world.publish("2.0")
    for kind in ("updated", "current"):
        assert world.check()["kind"] == kind
    assert world.host.answers("models.json") == [200, 200]


def test_a_device_waits_for_wifi_and_remembers_why(world: World) -> None:
    world.publish("2.0", terms=Terms(conditions=("wifi", "charging")))
    answer = world.check(conditions=["charging"])
    assert (answer["kind"], answer["reason"], answer["version"]) == ("waiting", "wifi", "1.0")
    assert not world.host.answers("/files/")
    assert world.active() == "1.0"
    assert world.check(conditions=["wifi", "charging"])["kind"] == "updated"
    assert world.host.answers("models.json") == [200, 304]


def test_a_condition_of_a_later_version_is_never_met(world: World) -> None:
    world.publish("2.0", terms=Terms(conditions=("full-moon",)))
    assert world.check(conditions=["wifi"])["kind"] == "waiting"


def test_only_what_is_new_is_downloaded(world: World) -> None:
    world.publish("2.0")
    world.check()
    new = world.published().release("2.0").variants[0].targets["tfjs"].files
    old = world.published().release("1.0").variants[0].targets["tfjs"].files
    expected = {f.sha256 for f in new} - {f.sha256 for f in old}
    assert len(expected) == 3, "the golden inputs are the same"
    assert sorted(world.host.answers("/files/")) == [200] * 3
    assert all(world.host.answers(sha256) for sha256 in expected)


def test_a_download_goes_on_where_it_was(world: World) -> None:
    world.publish("2.0")
    shard = world.shard("2.0").name
    world.host.faults = [Fault(shard, "cut")]
    world.check()
    world.host.faults = []
    before = set(world.host.requests)
    world.host.requests.clear()
    assert world.check()["kind"] == "updated"
    again = {path for path, _ in before} & {path for path, _ in world.host.requests}
    assert again == {"/models.json", f"/files/{shard}"}


@pytest.mark.parametrize("how", ["fail", "throw"])
def test_a_model_that_fails_its_self_test_is_not_taken(world: World, how: str) -> None:
    world.publish("2.0")
    before = world.files()
    answer = world.check(self_test=how)
    assert (answer["kind"], answer["reason"], answer["version"]) == ("failed", "self-test", "1.0")
    assert world.active() == "1.0"
    unchanged(world, before, touched=True)
    assert len(world.models()) == 1
    world.host.requests.clear()
    assert world.check()["reason"] == "rejected", "nor is it downloaded again"
    assert world.host.requests == [("/models.json", 304)]
    world.publish("2.1")
    assert world.check()["version"] == "2.1"


def test_a_model_that_ends_the_app_is_not_tried_again(world: World) -> None:
    world.publish("2.0")
    assert world.ask("check", self_test="exit") is None
    assert world.active() == "1.0"
    assert world.check()["reason"] == "rejected"
    assert world.active() == "1.0"


def test_a_rollback_needs_no_download(world: World) -> None:
    world.publish("2.0", terms=Terms(conditions=("wifi",)))
    assert world.check(conditions=["wifi"])["version"] == "2.0"
    rollback(world.site, world.publisher.signing)
    world.host.requests.clear()
    answer = world.check()
    assert (answer["kind"], answer["version"]) == ("updated", "1.0")
    assert world.active() == "1.0"
    assert not world.host.answers("/files/")


def test_where_no_release_is_left_the_model_in_the_app_is(world: World) -> None:
    rollback(world.site, world.publisher.signing)
    answer = world.check()
    assert (answer["kind"], answer["version"]) == ("updated", None)
    assert world.active() is None
    assert world.check()["kind"] == "current"
    world.publish("1.0")
    world.host.requests.clear()
    assert world.check()["version"] == "1.0"
    assert not world.host.answers("/files/"), "its files are still there"


def test_the_model_in_the_app_is_not_downloaded(world: World) -> None:
    world.bundled = "2.0"
    world.publish("2.0")
    answer = world.check()
    assert (answer["kind"], answer["version"]) == ("updated", None)
    assert not world.host.answers("/files/")
    assert world.active() is None


def test_two_users_get_two_variants(world: World) -> None:
    world.publish("2.0", variant=("a", 5000), arm="a")
    world.publish("2.0", variant=("b", 5000), arm="b")
    digests = {}
    for user in ("user1", "user2", "user3", "user4", "user5"):
        world.settings["user"] = user
        assert world.check()["version"] == "2.0"
        answer = world.ask("active")
        assert answer
        digests[user] = Path(answer["folder"]).name
    variants = world.published().release("2.0").variants
    assert set(digests.values()) == {v.targets["tfjs"].digest for v in variants}


def test_a_damaged_model_is_replaced_by_the_previous_one_and_mended(world: World) -> None:
    world.publish("2.0")
    world.check()
    answer = world.ask("active")
    assert answer
    shard = Path(answer["folder"]) / SHARD
    shard.write_bytes(shard.read_bytes()[:-1] + b"!")
    assert world.active() == "1.0"
    world.host.requests.clear()
    assert world.check()["version"] == "2.0"
    assert world.active() == "2.0"
    assert world.host.answers("/files/") == [200], "only what was damaged"


def test_without_any_whole_model_there_is_the_one_in_the_app(world: World) -> None:
    for file in (world.device / "models").rglob("*.bin"):
        file.unlink()
    assert world.active() is None
    assert world.check()["version"] == "1.0"


@pytest.mark.parametrize(
    "content", ["", "{", "null", '{"current": {"model": 7}}', '{"current": 1}']
)
def test_a_damaged_state_is_a_new_start(world: World, content: str) -> None:
    (world.device / "state.json").write_text(content)
    assert world.active() is None
    assert world.check()["version"] == "1.0"
    assert world.active() == "1.0"


@pytest.mark.parametrize("signature", [None, "", "AAAA", "A" * 86 + "==", "?"])
def test_a_damaged_document_is_asked_for_again(world: World, signature: str | None) -> None:
    state = world.device / "state.json"
    state.write_text(json.dumps({**json.loads(state.read_text()), "signature": signature}))
    assert world.check()["kind"] == "current"
    assert world.host.requests[0] == ("/models.json", 200)


def test_an_app_with_other_code_does_not_run_the_old_model(world: World) -> None:
    """The app was updated, and takes another interface: what was downloaded no longer fits."""
    world.settings["interface"] = "f" * 64
    assert world.active() is None
    assert world.check()["version"] is None
    world.settings["interface"] = (
        world.published().releases[0].variants[0].targets["tfjs"].interface
    )
    assert world.check()["version"] == "1.0"


def test_a_model_that_does_not_work_after_all_is_given_up(world: World) -> None:
    world.publish("2.0")
    world.check()
    world.ask("fall_back")
    assert world.active() == "1.0"
    assert world.check()["reason"] == "rejected"
    world.ask("fall_back")
    assert world.active() is None


def test_the_model_that_ran_is_the_one_that_is_given_up(world: World) -> None:
    """The newer one was damaged on the device: it is not to blame for what the older one did."""
    world.publish("2.0")
    world.check()
    shard = Path(world.ask("active")["folder"]) / SHARD
    shard.write_bytes(shard.read_bytes()[:-1] + b"!")
    assert world.active() == "1.0"
    world.ask("fall_back")
    assert world.active() is None
    assert world.check()["version"] == "2.0"
    assert world.active() == "2.0"


def test_two_models_are_kept(world: World) -> None:
    for version in ("2.0", "3.0", "4.0"):
        world.publish(version)
        assert world.check()["version"] == version
    assert len(world.models()) == 2
    assert not [name for name in world.files() if name.endswith(".part")]
