"""Rules that hold for all inputs; the vectors that all languages share are in test_clients.py."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlc.channel.document import BUCKETS, File, Model, Models, Release, Variant
from mlc.channel.rules import Device, at_least, bucket, choose

MODEL = Model("a", "verified", "0" * 64, "0" * 64, (File("a", "0" * 64, 1),))
DEVICE = Device("ios", "coreml", "1", "17", "somebody")
versions = st.lists(st.integers(0, 99), min_size=1, max_size=4).map(lambda n: ".".join(map(str, n)))
shares = st.lists(st.integers(0, BUCKETS), min_size=1, max_size=4).filter(
    lambda s: sum(s) <= BUCKETS
)


def models(*releases: Release) -> Models:
    return Models("lamp", 1, releases)


def release(version: str, *sizes: int, **more: int) -> Release:
    arms = tuple(Variant(f"v{i}", s, {"coreml": MODEL}) for i, s in enumerate(sizes or (BUCKETS,)))
    return Release(version, arms, **more)  # type: ignore[arg-type]


@given(st.text(), st.sampled_from(["rollout", "variant"]))
def test_every_user_has_a_bucket(user: str, purpose: str) -> None:
    assert 0 <= bucket("lamp", purpose, user) < BUCKETS


def test_users_are_spread_evenly_and_twice_independently() -> None:
    """Of 20000 users, a tenth of the buckets holds 2000 ± 5 standard deviations; both at once, 200."""
    rollout, variant = (
        [bucket("lamp", purpose, str(user)) for user in range(20_000)]
        for purpose in ("rollout", "variant")
    )
    for low in range(0, BUCKETS, 1000):
        inside = [low <= place < low + 1000 for place in rollout]
        assert abs(sum(inside) - 2000) < 212
        both = sum(a and 0 <= place < 1000 for a, place in zip(inside, variant, strict=True))
        assert abs(both - 200) < 71


@given(versions, versions, versions)
def test_versions_are_in_one_order(a: str, b: str, c: str) -> None:
    assert at_least(a, a)
    assert at_least(a, b) or at_least(b, a)
    if at_least(a, b) and at_least(b, c):
        assert at_least(a, c)
    assert at_least(f"{a}.0", a)
    assert at_least(a, f"{a}.0")
    assert at_least(f"{a}.1", a)
    assert not at_least(a, f"{a}.1")


@given(st.text(), st.integers(0, BUCKETS), st.integers(0, BUCKETS))
def test_who_has_a_release_keeps_it_when_the_rollout_grows(user: str, a: int, b: int) -> None:
    device = replace(DEVICE, user=user)
    small, large = sorted((a, b))
    if choose(models(release("1", rollout=small)), device):
        assert choose(models(release("1", rollout=large)), device)


@given(st.text(), shares)
def test_a_user_is_of_one_variant_at_most_and_of_one_where_all_are_shared_out(
    user: str, sizes: list[int]
) -> None:
    device = replace(DEVICE, user=user)
    found = choose(models(release("1", *sizes)), device)
    place = bucket("lamp", "variant", user)
    assert (found is not None) == (place < sum(sizes))
    if found:
        index = int(found.variant[1:])
        assert sum(sizes[:index]) <= place < sum(sizes[: index + 1])
    rest = choose(models(release("1", *sizes, BUCKETS - sum(sizes))), device)
    assert rest is not None, "what is left was given to one more variant"
    assert found is None or rest.variant == found.variant, "and nobody else changed theirs"


def test_a_release_that_is_not_for_a_device_lets_the_next_one_through() -> None:
    new, old = release("2"), release("1")
    assert choose(models(new, old), DEVICE).version == "2"  # type: ignore[union-attr]
    for other in (
        replace(new, withdrawn=True),
        replace(new, rollout=0),
        replace(new, minimum_app={"ios": "2"}),
        replace(new, below_app={"ios": "1.0"}),
        replace(new, minimum_os={"ios": "18"}),
        replace(new, variants=(Variant("main", BUCKETS, {"tflite": MODEL}),)),
        replace(new, variants=(Variant("main", 0, {"coreml": MODEL}),)),
    ):
        assert choose(models(other, old), DEVICE).version == "1"  # type: ignore[union-attr]
        assert choose(models(other), DEVICE) is None


@pytest.mark.parametrize("interface", ["0" * 64, None])
def test_an_app_takes_its_own_interface(interface: str | None) -> None:
    assert choose(models(release("1")), replace(DEVICE, interface=interface))
    assert not choose(models(release("1")), replace(DEVICE, interface="1" * 64))
