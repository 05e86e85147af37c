"""What every group of settings is."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A group of settings; unknown names are errors, so that a typing slip can't switch a protection off."""

    model_config = ConfigDict(extra="forbid", frozen=True)
