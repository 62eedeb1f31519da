"""Limits of requests, and how to handle unseen categories, out-of-range numbers and missing fields."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from pydantic import Field

from noria.core.use_case.fields import Duration, Frozen


class InputPolicy(StrEnum):
    """How to handle a value that is out of distribution: accept it, answer with a warning, or refuse the request."""

    ACCEPT = "accept"
    WARN = "warn"
    """Predict, with a warning in the answer."""
    REFUSE = "refuse"
    """Do not predict; the error names the field."""


class Serving(Frozen):
    """Limits of requests over REST, and how to handle values that are out of distribution. A missing `required` field is
    always refused."""

    unseen_category: InputPolicy = InputPolicy.WARN
    """A category that training did not see."""
    out_of_range: InputPolicy = InputPolicy.WARN
    """A number outside what training saw, or outside the feature's `range`."""
    missing: InputPolicy = InputPolicy.ACCEPT
    """A field that is left out, or null."""
    max_batch: int = Field(default=1000, ge=1, le=10_000)
    """Maximum of instances in one request."""
    timeout: Duration = timedelta(seconds=5)
    """Time limit of a request; beyond it the answer is 504."""
    entity_cache: Duration = timedelta(seconds=5)
    """How long looked-up features of an entity are cached."""
