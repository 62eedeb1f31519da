"""The account that PostgreSQL runs as where we are root: PostgreSQL refuses root.

The account has no privilege at all. Programs enter their working directory while they are still root, and PostgreSQL calls
it `/proc/self/cwd`: a process may stay in a folder whose parents it cannot enter.
"""

from __future__ import annotations

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from noria.core.base.errors import StackError

HERE = "/proc/self/cwd"
"""Absolute path of the working directory, valid where its parents cannot be entered."""
_PREFERRED = ("postgres", "nobody")


@dataclass(frozen=True)
class Account:
    """A user other than root, with its group.

    Attributes:
        name: login name; the number where it has none.
    """

    name: str
    uid: int
    gid: int

    def give(self, path: Path) -> None:
        """Make this account the owner of a file or folder."""
        os.chown(path, self.uid, self.gid)

    def entering(self, folder: Path) -> list[str]:
        """Begin a command that runs as this account in `folder`, without any privilege.

        Raises:
            StackError: `setpriv` is not installed.
        """
        if shutil.which("setpriv") is None:
            raise StackError("PostgreSQL refuses to run as root, and `setpriv` is missing: install the package util-linux")
        identity = (f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups")
        return ["env", f"--chdir={folder}", "setpriv", *identity, "--no-new-privs", "--"]


def account_of(data: Path) -> Account | None:
    """Account for the server of a data folder, made already or not; None where it is our own.

    Raises:
        StackError: the folder has an owner that we cannot run PostgreSQL as.
    """
    owner = data.stat() if data.exists() else None
    if os.geteuid() != 0:
        if owner and owner.st_uid != os.geteuid():
            raise StackError(
                f"{data} belongs to user {_name(owner.st_uid)}: run this as that user, or give the folder to yours"
            )
        return None
    if owner is None:
        return _preferred()
    if owner.st_uid == 0:
        raise StackError(
            f"{data} belongs to root, and PostgreSQL refuses to run as root. Give it to another user:"
            f" chown -R {_preferred().name} '{data.parent}'"
        )
    return Account(_name(owner.st_uid), owner.st_uid, owner.st_gid)


def _preferred() -> Account:
    for name in _PREFERRED:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, user.pw_uid, user.pw_gid)
    raise StackError(f"PostgreSQL refuses to run as root, and there is no user called {' or '.join(_PREFERRED)}: add one")


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
