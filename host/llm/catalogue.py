"""The models that ship, by name (U-3). Shapes and their sources are in `data/models.yaml`."""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any, NamedTuple

import yaml

from .model import ModelConfig

__all__ = ["PublishedModel", "published_model", "published_models"]


class PublishedModel(NamedTuple):
    """A model, and where its shape is stated."""

    model: ModelConfig
    source: str


@functools.cache
def published_models() -> Mapping[str, PublishedModel]:
    """Every model that ships, by name, in the order of the file, which is read once."""
    text = importlib.resources.files("host.llm").joinpath("data/models.yaml").read_text(encoding="utf-8")
    return MappingProxyType({entry["name"]: _published(entry) for entry in yaml.safe_load(text)})


def published_model(name: str) -> ModelConfig:
    """The model of this name. Raises ValueError with the nearest name if none ships."""
    models = published_models()
    if name not in models:
        near = get_close_matches(name, models, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"no model {name!r}: {hint}There are {', '.join(models)}; or give the path of a config.json")
    return models[name].model


def _published(entry: dict[str, Any]) -> PublishedModel:
    shape = {name: value for name, value in entry.items() if name != "source"}
    return PublishedModel(ModelConfig(**shape), entry["source"])
