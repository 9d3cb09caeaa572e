"""`workbench sign` and `workbench verify`, as a person types them."""

from __future__ import annotations

import io
import json
import os
import pty
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from auditing import COMMAND, Audit, invoke
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from small_run import small_run

from workbench.audit.proof.manifest import write_manifest
from workbench.audit.records.folder import MANIFEST, SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., Audit]

PASSPHRASE = "WORKBENCH_KEY_PASSPHRASE"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    run = small_run(tmp_path / "run")
    write_manifest(run)
    return run


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line in this process, with nobody at the keyboard."""
    monkeypatch.delenv(PASSPHRASE, raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO())

    def call(*arguments: object) -> Audit:
        return invoke(monkeypatch, capsys, *arguments)

    return call


@pytest.fixture
def keys(command: Command, tmp_path: Path) -> Path:
    """A private key; its public key lies beside it."""
    made = command("sign", "--new-key", tmp_path / "keys" / "mine")
    assert made.code == 0
    return tmp_path / "keys" / "mine"


def public(private: Path) -> Path:
    return private.with_name(private.name + ".pub")


def before_and_after(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# From a new key to a checked signature.


def test_a_key_is_made_a_run_signed_and_checked(command: Command, run: Path, keys: Path) -> None:
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    signed = command("sign", run, "--key", keys)
    assert signed.code == 0
    assert f"signature: {run / SIGNATURE}" in signed.out
    checked = command("verify", run, "--key", public(keys))
    assert checked.code == 0
    assert checked.out.startswith("Every file is as the manifest says.\nsignature: valid.")


def test_one_command_makes_the_key_and_signs(command: Command, run: Path, tmp_path: Path) -> None:
    made = command("sign", run, "--new-key", tmp_path / "key", "--json")
    assert made.code == 0
    assert made.answer["private_key"] == str(tmp_path / "key")
    assert made.answer["signature"] == str(run / SIGNATURE)
    checked = command("verify", run, "--key", made.answer["public_key"], "--json")
    assert checked.answer["signature"]["key"] == made.answer["key"]
    assert checked.answer["verified"] is True


def test_json_is_one_object(command: Command, run: Path, keys: Path) -> None:
    signed = command("sign", run, "--key", keys, "--json")
    assert set(signed.answer) == {"run", "signature", "key", "private_key", "public_key"}
    checked = command("verify", run, "--json")
    assert set(checked.answer) == {"run", "verified", "differences", "signature"}
    assert checked.answer["signature"]["state"] == "not checked"


def test_without_a_signature_a_run_verifies_and_is_told_what_that_means(
    command: Command, run: Path
) -> None:
    checked = command("verify", run)
    assert checked.code == 0
    assert "signature: none." in checked.out
    assert "whoever changed a file could have written the manifest anew" in checked.out


def test_without_a_key_a_signature_is_not_called_valid(
    command: Command, run: Path, keys: Path
) -> None:
    command("sign", run, "--key", keys)
    checked = command("verify", run)
    assert checked.code == 0
    assert "signature: not checked." in checked.out
    assert "give it with --key" in checked.out


# The answer is no.


def test_a_signature_that_was_asked_for_and_is_not_there(
    command: Command, run: Path, keys: Path
) -> None:
    checked = command("verify", run, "--key", public(keys))
    assert checked.code == 1
    assert "signature: none." in checked.out


def test_another_key_is_named_with_both(
    command: Command, run: Path, keys: Path, tmp_path: Path
) -> None:
    mine = command("sign", run, "--key", keys, "--json").answer["key"]
    other = command("sign", "--new-key", tmp_path / "other", "--json").answer["key"]
    checked = command("verify", run, "--key", public(tmp_path / "other"))
    assert checked.code == 1
    assert "signature: another key." in checked.out
    assert mine in checked.out
    assert other in checked.out


def tampered(run: Path, how: str) -> None:
    if how == "changed":
        (run / "findings.json").write_text("{}")
    elif how == "missing":
        (run / "findings.json").unlink()
    elif how == "added":
        (run / "extra").touch()
    elif how == "link":
        (run / "extra").symlink_to(run.parent)
    elif how == "manifest anew":
        (run / "findings.json").write_text("{}")
        write_manifest(run)
    elif how == "manifest gone":
        (run / MANIFEST).unlink()
    else:
        (run / SIGNATURE).write_text("{}")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("changed", "changed: findings.json"),
        ("missing", "missing: findings.json"),
        ("added", "added: extra"),
        ("link", "link: extra"),
        ("manifest anew", "signature: invalid. It was made over another manifest"),
        ("manifest gone", "missing: manifest.json"),
        ("signature", "signature: invalid. manifest.dsse.json is not a DSSE envelope"),
    ],
)
def test_a_signed_run_that_was_tampered_with_is_found(
    command: Command, run: Path, keys: Path, how: str, said: str
) -> None:
    command("sign", run, "--key", keys)
    tampered(run, how)
    for arguments in ((), ("--key", public(keys))):
        checked = command("verify", run, *arguments)
        assert checked.code == 1
        assert said in checked.out
        answer = command("verify", run, *arguments, "--json")
        assert (answer.code, answer.answer["verified"]) == (1, False)


def test_hostile_names_reach_the_terminal_without_their_effect(
    command: Command, run: Path, keys: Path
) -> None:
    command("sign", run, "--key", keys)
    envelope = json.loads((run / SIGNATURE).read_text())
    envelope["signatures"][0]["keyid"] = "\x1b]0;owned\x07\u202e"
    (run / SIGNATURE).write_text(json.dumps(envelope))
    (run / "\x1b[2J\n\rnew\u202e").touch()
    checked = command("verify", run)
    assert not set("\x1b\x07\r\u202e") & set(checked.out)
    assert len(checked.out.splitlines()) == 2


# Wrong input: exit 2, one message, nothing written.


@pytest.mark.parametrize(
    "arguments",
    [
        ("sign",),
        ("sign", "{run}"),
        ("sign", "{run}", "--key", "a", "--new-key", "b"),
        ("sign", "--key", "{keys}"),
        ("sign", "{run}", "--key", "nowhere"),
        ("sign", "{run}", "--key", "{keys}.pub"),
        ("sign", "{run}", "--new-key", "{keys}"),
        ("sign", "nowhere", "--new-key", "new"),
        ("verify", "nowhere"),
        ("verify", "{run}", "--key", "nowhere"),
        ("verify", "{run}", "--key", "{keys}"),
    ],
)
def test_wrong_input_writes_nothing(
    command: Command,
    run: Path,
    keys: Path,
    arguments: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(run.parent)
    before = before_and_after(run.parent)
    done = command(*(part.format(run=run, keys=keys) for part in arguments))
    assert (done.code, done.out) == (2, "")
    assert "Traceback" not in done.err
    assert before_and_after(run.parent) == before


def test_an_altered_run_is_not_signed_and_no_key_is_made(
    command: Command, run: Path, tmp_path: Path
) -> None:
    (run / "extra").touch()
    done = command("sign", run, "--new-key", tmp_path / "key")
    assert done.code == 2
    assert "extra (added)" in done.err
    assert not (tmp_path / "key").exists()
    assert not (run / SIGNATURE).exists()


def test_a_key_of_another_type_is_refused_by_name(
    command: Command, run: Path, tmp_path: Path
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "ec").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    done = command("sign", run, "--key", tmp_path / "ec")
    assert done.code == 2
    assert "a key of the type EC; expected Ed25519" in done.err


# Passphrases.


def test_a_passphrase_comes_from_the_environment(
    command: Command, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key"
    monkeypatch.setenv(PASSPHRASE, "open sesame")
    assert command("sign", "--new-key", key).code == 0
    assert "ENCRYPTED" in key.read_text()
    assert command("sign", run, "--key", key).code == 0
    monkeypatch.setenv(PASSPHRASE, "wrong")
    wrong = command("sign", run, "--key", key)
    assert (wrong.code, "the passphrase does not open this key" in wrong.err) == (2, True)
    monkeypatch.delenv(PASSPHRASE)
    missing = command("sign", run, "--key", key)
    assert (missing.code, "the key is encrypted; give its passphrase" in missing.err) == (2, True)


def test_a_passphrase_is_asked_for_at_a_terminal_and_not_shown(run: Path, tmp_path: Path) -> None:
    environment = {key: value for key, value in os.environ.items() if key != PASSPHRASE}
    key = tmp_path / "key"

    def at_a_terminal(prompts: int, *arguments: object) -> tuple[int, str]:
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [COMMAND, *map(str, arguments)],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=environment,
        ) as process:
            os.close(theirs)
            assert process.stdout is not None
            said = b""
            for _ in range(prompts):
                # What is typed before the prompt is there is thrown away, as passphrases are.
                while not said.endswith(b": "):
                    said += process.stdout.read(1) or pytest.fail(said.decode())
                os.write(ours, b"secret\n")
                said += process.stdout.read(1)
            said += process.stdout.read()
        os.close(ours)
        return process.returncode, said.decode()

    code, said = at_a_terminal(2, "sign", "--new-key", key)
    assert (code, "secret" in said) == (0, False), said
    assert "ENCRYPTED" in key.read_text()
    code, said = at_a_terminal(1, "sign", run, "--key", key)
    assert (code, "secret" in said) == (0, False), said
    assert (run / SIGNATURE).is_file()


def test_help_says_what_the_commands_do(command: Command) -> None:
    for name, words in (("sign", "every file must be as it says"), ("verify", "Exit 1 where")):
        assert words in " ".join(command(name, "--help").out.split())


def test_verifying_reaches_neither_torch_nor_the_network(run: Path) -> None:
    script = (
        "import sys; from workbench.offline import forbid_network; forbid_network(); "
        "from workbench.cli import main; sys.argv = ['workbench', 'verify', sys.argv[1]]\n"
        "try: main()\n"
        "finally: sys.stderr.write(str({'torch', 'transformers'} & set(sys.modules)))"
    )
    done: Any = subprocess.run(
        [sys.executable, "-c", script, str(run)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "set()")
