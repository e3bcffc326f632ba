"""The commands of channels: parse, call, print. `mlc/cli.py` adds them to the others."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mlc.errors import Exit, UsageError

if TYPE_CHECKING:
    from mlc.channel.document import Models
    from mlc.channel.publish import Signing

__all__ = ["app", "publish", "rollback"]

app = typer.Typer(
    help="Over-the-air updates: keys, rollouts, and the state of a channel.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_SIGNING = "Signing"
Key = Annotated[
    Path,
    typer.Option(
        help="Private key in PEM, made by `mlc channel keygen`.", rich_help_panel=_SIGNING
    ),
]
Expires = Annotated[
    str | None,
    typer.Option(
        metavar="YYYY-MM-DD",
        help="Last day on which devices accept this document. [default: as before; at first, none]",
        rich_help_panel=_SIGNING,
    ),
]
NewKey = Annotated[
    bool,
    typer.Option(
        "--new-key",
        help="Sign with another key than the channel had: only for apps that know both.",
        rich_help_panel=_SIGNING,
    ),
]
Sequence = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Continue from this number, for a channel whose folder was lost. [default: the next]",
        rich_help_panel=_SIGNING,
    ),
]
Folder = Annotated[Path, typer.Argument(help="The folder that `mlc publish` wrote.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def publish(
    bundle: Annotated[Path, typer.Argument(help="The folder that `mlc build` wrote.")],
    to: Annotated[Path, typer.Option(help="Folder of the channel; made if it is not there.")],
    key: Key,
    targets: Annotated[
        str | None,
        typer.Option(
            "--targets",
            "-t",
            help="coreml, tflite, onnx, tfjs: comma-separated. [default: all in the bundle]",
        ),
    ] = None,
    rollout: Annotated[
        str | None,
        typer.Option(metavar="PERCENT", help="Share of users who get it. [default: 100]"),
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=PERCENT", help="Arm of an A/B test. [default: main, for all users]"
        ),
    ] = None,
    min_app: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[PLATFORM=]VERSION", help="Oldest app; platforms: ios, android, web."
        ),
    ] = None,
    below_app: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[PLATFORM=]VERSION", help="First app that has a newer model of its own inside."
        ),
    ] = None,
    min_os: Annotated[
        list[str] | None,
        typer.Option(metavar="PLATFORM=VERSION", help="Oldest system: ios=17.2, android=33 (API)."),
    ] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Download only while it holds: wifi, charging."),
    ] = None,
    allow_unverified: Annotated[
        bool,
        typer.Option(
            "--allow-unverified", help="Publish what is not verified, or breaks a limit, too."
        ),
    ] = False,
    expires: Expires = None,
    new_key: NewKey = False,
    sequence: Sequence = None,
    as_json: Json = False,
) -> None:
    """Add a bundle to an update channel: signed, content-addressed, for any static host."""
    from mlc.channel.publish import Terms
    from mlc.channel.publish import publish as run
    from mlc.targets import parse

    models = run(
        bundle,
        to,
        _signing(key, expires, new_key, sequence),
        targets=parse(targets) if targets and targets != "all" else (),
        variant=_variant(variant),
        terms=Terms(
            None if rollout is None else _buckets(rollout),
            _versions("--min-app", min_app),
            _versions("--below-app", below_app),
            _versions("--min-os", min_os),
            tuple(condition) if condition else None,
        ),
        unverified=allow_unverified,
    )
    _show(to, models, as_json)


def rollback(
    channel: Folder,
    key: Key,
    to_version: Annotated[
        str | None,
        typer.Option(help="Withdraw all newer than this one. [default: only the newest]"),
    ] = None,
    expires: Expires = None,
    new_key: NewKey = False,
    sequence: Sequence = None,
    as_json: Json = False,
) -> None:
    """Withdraw releases: devices go back to an older one, or to the model inside the app."""
    from mlc.channel.publish import rollback as run

    models = run(channel, _signing(key, expires, new_key, sequence), to_version)
    _show(channel, models, as_json)


@app.command("rollout")
def _rollout(
    channel: Folder,
    percent: Annotated[str, typer.Argument(help="Share of users who get it, 0 to 100.")],
    key: Key,
    version: Annotated[
        str | None, typer.Option(help="Of which release. [default: the newest]")
    ] = None,
    expires: Expires = None,
    new_key: NewKey = False,
    sequence: Sequence = None,
    as_json: Json = False,
) -> None:
    """Set the share of users who get a release; those who have it keep it when the share grows."""
    from mlc.channel.publish import rollout as run

    signing = _signing(key, expires, new_key, sequence)
    _show(channel, run(channel, signing, _buckets(percent), version), as_json)


@app.command("status")
def _status(
    channel: Folder,
    public_key: Annotated[
        str | None,
        typer.Option(
            help="Verify with this key, the one in the apps. [default: the channel's own]"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Verify the signature and the hash of every file, and show who gets what."""
    from mlc.channel.status import status as run
    from mlc.report.channel import print_status

    found = run(channel, public_key)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=1, ensure_ascii=False))
    else:
        print_status(found)
    raise typer.Exit(Exit.FAILED if found.problems else Exit.OK)


@app.command("keygen")
def _keygen(
    file: Annotated[
        Path, typer.Argument(help="Where to write the private key; never overwritten.")
    ],
) -> None:
    """Make an Ed25519 key: the private one to FILE (mode 0600), the public one is printed."""
    from mlc.channel.keys import generate

    typer.echo(generate(file))
    typer.echo(f"Wrote {file}: keep it secret. The line above is for your apps.", err=True)


@app.command("fetch")
def _fetch(
    url: Annotated[str, typer.Argument(help="Where the channel is served.")],
    name: Annotated[str, typer.Option(help="Name of the model.")],
    public_key: Annotated[str, typer.Option(help="The key in the apps.")],
    target: Annotated[str, typer.Option(help="coreml, tflite, onnx or tfjs.")],
    to: Annotated[Path, typer.Option(help="Folder that stands for the device; it remembers.")],
    platform: Annotated[str, typer.Option(help="ios, android or web.")] = "web",
    app_version: Annotated[str, typer.Option(help="Version of the app.")] = "1",
    os_version: Annotated[str, typer.Option(help="Version of the system.")] = "1",
    user: Annotated[str, typer.Option(help="User, for rollouts and variants.")] = "ci",
    interface: Annotated[
        str | None, typer.Option(help="Interface of the app's code. [default: any]")
    ] = None,
    condition: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="What holds now, e.g. wifi.")
    ] = None,
) -> None:
    """Do what a device does: check, verify, download, load and switch. A smoke test of a live channel."""
    from mlc.channel import keys
    from mlc.channel.client import Channel, Updates, loads
    from mlc.channel.rules import Device

    keys.parse_public(public_key)
    device = Device(platform, target, app_version, os_version, user, interface)
    updates = Updates(Channel(url, name, (public_key,)), device, to)
    outcome = updates.check(loads, tuple(condition or ()))
    active = updates.active()
    runs = updates.folder(active) / active.model.artifact if active else "the model in the app"
    typer.echo(": ".join(filter(None, (outcome.kind, outcome.reason, outcome.detail))))
    typer.echo(
        f"runs {runs}" + (f" (version {active.version}, {active.variant})" if active else "")
    )
    raise typer.Exit(Exit.FAILED if outcome.kind == "failed" else Exit.OK)


def _show(folder: Path, models: Models, as_json: bool) -> None:
    from mlc.report.channel import print_models

    if as_json:
        typer.echo(models.to_bytes().decode(), nl=False)
    else:
        print_models(models)
        typer.echo(f"channel: {folder}")


def _signing(key: Path, expires: str | None, new_key: bool, sequence: int | None) -> Signing:
    from mlc.channel.publish import Signing

    if expires is not None:
        try:
            expires = date.fromisoformat(expires).isoformat()
        except ValueError:
            raise UsageError(f"--expires is {expires!r}.", "Write e.g. 2030-12-31.") from None
    return Signing(key, expires, new_key, sequence)


def _buckets(percent: str) -> int:
    """A percentage with at most two decimals → buckets of 10000."""
    match = re.fullmatch(r"(\d{1,3})(?:\.(\d{1,2}))?%?", percent.strip())
    buckets = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0")) if match else 10_001
    if buckets > 10_000:
        raise UsageError(
            f"{percent!r} is no share of users.", "Give a percentage from 0 to 100, e.g. 2.5."
        )
    return buckets


def _variant(text: str | None) -> tuple[str, int] | None:
    if text is None:
        return None
    name, _, percent = text.rpartition("=")
    if not name:
        raise UsageError(f"--variant is {text!r}.", "Write e.g. b=50.")
    return name, _buckets(percent)


def _versions(flag: str, texts: list[str] | None) -> dict[str, str] | None:
    """`ios=1.2`, or `1.2` for every platform → version by platform."""
    from mlc.channel.document import PLATFORMS

    if not texts:
        return None
    versions: dict[str, str] = {}
    for text in texts:
        platform, _, version = text.rpartition("=")
        if platform not in ("", *PLATFORMS) or not re.fullmatch(
            r"\d{1,9}(\.\d{1,9}){0,5}", version
        ):
            raise UsageError(
                f"{flag} is {text!r}.",
                f"Write e.g. ios=1.2, with a platform of {', '.join(PLATFORMS)}.",
            )
        versions |= dict.fromkeys([platform] if platform else PLATFORMS, version)
    return versions
