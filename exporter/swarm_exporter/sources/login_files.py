"""A node's login data: whether they are there and activated, and nothing else of them.

Files of RL Swarm v0.2 to v0.7 in `modal-login/temp-data`: `userData.json` has a person's data by
organisation, `userApiKey.json` private keys. Only the fields named here are ever decoded, nothing
is kept, and no error tells what stands in them.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TypeVar

import msgspec

from swarm_exporter.launcher.private_files import cause, read_bounded
from swarm_exporter.reasons import Reason
from swarm_exporter.sources.errors import SourceError

#: They are some kilobytes.
_LARGEST_BYTES = 1024 * 1024

T = TypeVar("T")


class _Anything(msgspec.Struct):
    """An object of which nothing is decoded."""


class _Key(msgspec.Struct):
    """A key of which only this is decoded."""

    activated: bool = False


_user_data = msgspec.json.Decoder(dict[str, _Anything])
_keys = msgspec.json.Decoder(dict[str, list[_Key]])


class LoginFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What the files say; None where they do not."""

    #: Whether somebody has logged in.
    data: bool | None = None
    #: Whether the newest key of that account is activated.
    activated: bool | None = None
    #: Whose login it is. It identifies a person: it is for the login app alone.
    org_id: str | None = None
    problems: tuple[SourceError, ...] = ()

    def __repr__(self) -> str:
        """Show no organisation."""
        return f"LoginFiles(data={self.data}, activated={self.activated})"


def login_folder(folder: Path) -> Path | None:
    """Return where a node's login data belong; None where the node has no login app.

    Raises SourceError (permission, unreadable) where it cannot be told.
    """
    try:
        with os.scandir(folder):
            pass
        # The login app makes the folder of its data with the first login.
        if _is_folder(folder / "modal-login"):
            return folder / "modal-login" / "temp-data"
        # A node's folder may be the login app's own.
        if _is_folder(folder / "temp-data"):
            return folder / "temp-data"
    except OSError as error:
        raise _unreadable(folder, error) from None
    return None


def read_login(place: Path) -> LoginFiles:
    """Read the login data in the folder `place`. Blocks on the file system; raises nothing."""
    problems: list[SourceError] = []
    data: bool | None = None
    org_id = None
    try:
        accounts = _decode(_user_data, place / "userData.json")
        org_ids = [org_id for org_id in accounts or () if org_id]
        data = bool(org_ids)
        # The login app keeps one account; upstream's script takes the first.
        org_id = org_ids[0] if org_ids else None
    except SourceError as error:
        problems.append(error)
    activated: bool | None = None
    try:
        keys = _decode(_keys, place / "userApiKey.json")
        activated = _activated(keys or {}, org_id if data else None)
    except SourceError as error:
        problems.append(error)
    return LoginFiles(data=data, activated=activated, org_id=org_id, problems=tuple(problems))


def _activated(keys: dict[str, list[_Key]], org_id: str | None) -> bool | None:
    """Tell whether an account's newest key is activated; of an unknown account, of the only one."""
    if org_id is None and len(keys) > 1:
        return None
    own = keys.get(org_id, []) if org_id is not None else next(iter(keys.values()), [])
    return bool(own) and own[-1].activated


def _decode(decoder: msgspec.json.Decoder[T], path: Path) -> T | None:
    """Decode a file; None where there is none. Raises SourceError that quotes nothing of it."""
    try:
        content = read_bounded(path, _LARGEST_BYTES)
        return None if content is None else decoder.decode(content)
    except OSError as error:
        problem = _unreadable(path, error)
    except msgspec.ValidationError:
        problem = SourceError(Reason.WRONG_SHAPE, f"{path} does not hold login data")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        problem = SourceError(Reason.INVALID_JSON, f"{path} is not whole, valid JSON")
    # Not from within: what is raised leads to no frame that holds the content.
    raise problem


def _is_folder(path: Path) -> bool:
    """Raises OSError where it cannot be told."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _unreadable(path: Path, error: OSError) -> SourceError:
    denied = isinstance(error, PermissionError)
    reason = Reason.PERMISSION if denied else Reason.UNREADABLE
    return SourceError(reason, f"{path} cannot be read: {cause(error)}")
