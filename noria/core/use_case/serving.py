"""How requests are answered that are not quite what training saw."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from pydantic import Field

from noria.core.use_case.fields import Duration, Frozen


class InputPolicy(StrEnum):
    """How to handle a value that is out of distribution: accept it, answer with a warning, or refuse the request."""

    ACCEPT = "accept"
    WARN = "warn"
    """Predict, and say so in the answer."""
    REFUSE = "refuse"
    """Predict nothing; the answer names the field."""


class Serving(Frozen):
    """How requests are answered over REST. A missing field that is `required` is always refused."""

    unseen_category: InputPolicy = InputPolicy.WARN
    """A text that training did not see."""
    out_of_range: InputPolicy = InputPolicy.WARN
    """A number beyond what training saw, or beyond the feature's `range`."""
    missing: InputPolicy = InputPolicy.ACCEPT
    """A field that is left out, or null."""
    max_batch: int = Field(default=1000, ge=1, le=10_000)
    """Instances that one request may carry."""
    timeout: Duration = timedelta(seconds=5)
    """How long a request may take before it is answered with 504."""
    entity_cache: Duration = timedelta(seconds=5)
    """How long features that were looked up by entity may be used again."""
