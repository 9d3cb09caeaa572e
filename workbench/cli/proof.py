"""`workbench sign` and `workbench verify`: who vouches for a run, and is it as it was left?"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from workbench.cli.options import printable

if TYPE_CHECKING:
    from workbench.audit.proof.manifest import Difference
    from workbench.audit.proof.signing import Signature

__all__ = ["sign", "verify"]

PASSPHRASE = "WORKBENCH_KEY_PASSPHRASE"  # noqa: S105 - the variable's name

_GOOD = {"valid", "not checked"}


@click.command()
@click.argument("run", type=click.Path(path_type=Path), required=False)
@click.option("--key", type=click.Path(path_type=Path), help="An Ed25519 private key.")
@click.option(
    "--new-key",
    type=click.Path(path_type=Path),
    help="Make a pair of keys first: the private one here, the public one beside it (.pub).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def sign(run: Path | None, key: Path | None, new_key: Path | None, as_json: bool) -> int:
    """Sign the manifest of RUN, whose every file must be as it says.

    The key is PEM or OpenSSH. Its passphrase is asked for, or taken from the environment variable
    WORKBENCH_KEY_PASSPHRASE.
    """
    from workbench.audit.proof import keys, signing

    if (key is None) == (new_key is None) or (run is None and new_key is None):
        raise click.UsageError("Give RUN with --key FILE, or --new-key FILE with or without RUN.")
    if run is not None:
        signing.require_unaltered(run)  # before a key is made or asked for
    if new_key is not None:
        private = keys.new_key(new_key, _passphrase_of_new_key())
    elif key is not None:
        private = _opened(key)
    path = None if run is None else signing.sign(run, private)
    answer = {
        "run": _text(run),
        "signature": _text(path),
        "key": keys.fingerprint(private.public_key()),
        "private_key": _text(new_key),
        "public_key": None if new_key is None else str(keys.public_file(new_key)),
    }
    if as_json:
        click.echo(json.dumps(answer))
        return 0
    if new_key is not None:
        click.echo(f"private key: {printable(str(new_key))} (keep it to yourself)")
        click.echo(f"public key: {printable(str(answer['public_key']))} (give it to your readers)")
    click.echo(f"key: {answer['key']}")
    if path is not None:
        click.echo(f"signature: {printable(str(path))}")
    return 0


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--key", type=click.Path(path_type=Path), help="The signer's public key, from the signer."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(run: Path, key: Path | None, as_json: bool) -> int:
    """Check every file of RUN against its manifest, and the manifest's signature.

    Exit 1 where a file differs, is missing or was added, or where the signature does not hold.
    Without a key, a signature cannot be told from a forger's.
    """
    from workbench.audit.proof import keys
    from workbench.audit.proof.manifest import verify_run
    from workbench.audit.proof.signing import verify_signature

    public = None if key is None else keys.public_key(key)
    differences = verify_run(run)
    signature = verify_signature(run, public)
    good = signature.state in _GOOD or (signature.state == "none" and public is None)
    verified = good and not differences
    if as_json:
        answer = {
            "run": str(run),
            "verified": verified,
            "differences": [found.model_dump() for found in differences],
            "signature": signature.model_dump(mode="json"),
        }
        click.echo(json.dumps(answer))
    else:
        _say(differences, signature)
    return int(not verified)


def _say(differences: list[Difference], signature: Signature) -> None:
    for found in differences:
        reason = f" ({printable(found.reason)})" if found.reason else ""
        click.echo(f"{found.what}: {printable(found.path)}{reason}")
    if not differences:
        click.echo("Every file is as the manifest says.")
    click.echo(f"signature: {signature.state}. {printable(signature.reason)}")
    if signature.state == "none" and not differences:
        click.echo("Without one, whoever changed a file could have written the manifest anew.")


def _opened(path: Path) -> Any:
    """The private key, with its passphrase from the environment or from who sits there."""
    from workbench.audit.proof import keys

    given = os.environ.get(PASSPHRASE)
    try:
        return keys.private_key(path, os.fsencode(given) if given else None)
    except keys.PassphraseError:
        if given or not sys.stdin.isatty():
            raise
    asked = click.prompt(f"Passphrase of {printable(str(path))}", hide_input=True, err=True)
    return keys.private_key(path, os.fsencode(asked))


def _passphrase_of_new_key() -> bytes | None:
    given = os.environ.get(PASSPHRASE)
    if given is None and sys.stdin.isatty():
        given = click.prompt(
            "Passphrase of the new key (empty for none)",
            default="",
            show_default=False,
            hide_input=True,
            confirmation_prompt=True,
            err=True,
        )
    return os.fsencode(given) if given else None


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
