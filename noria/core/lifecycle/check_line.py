"""A line of the checklist: what must be in place before a model decides, whether it is, and how that was found."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class CheckState(StrEnum):
    """Answer to a line of the checklist."""

    YES = "yes"
    NO = "no"
    NOT_YET = "not yet"
    """What is needed is in place or has been asked for, and time or use will show."""


class ChecklistItem(BaseModel):
    """One line of the checklist."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: str
    state: CheckState
    evidence: str
    to_do: str = ""
    """What turns it into a yes; empty where it is one."""
