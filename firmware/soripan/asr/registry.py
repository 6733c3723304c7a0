"""The models soripan knows: where each comes from, what it must hash to, what its licence allows.

They are listed in ``models.toml``, which also explains the keys.
"""

import difflib
import tomllib
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from soripan.exc import ModelMissingError

Kind = Literal["features", "wake-word", "vad", "recogniser"]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
Size = Annotated[int, Meta(gt=0)]

_OWN = Path(__file__).with_name("models.toml")


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the tables of ``models.toml``, where their keys are explained."""


class Package(Table, frozen=True):
    """``[packages.NAME]``: an archive that a package registry carries."""

    manager: Literal["pip", "npm"]
    version: str
    file: str
    bytes: Size
    sha256: Sha256


class Archive(Table, frozen=True):
    """``[models.NAME.archive]``: what the official address of a folder delivers."""

    bytes: Size
    sha256: Sha256
    member: str


class Member(Table, frozen=True):
    """One of ``[[models.NAME.packages]]``: a package the model also lies in."""

    name: str
    member: str
    digest: Sha256 | None = None


class Model(Table, frozen=True, kw_only=True):
    """``[models.NAME]``."""

    kind: Kind
    language: str | None = None
    licence: str
    allows: str
    credit: str
    bytes: Size
    sha256: Sha256 | None = None
    address: Annotated[str, Meta(pattern=r"^https?://")]
    archive: Archive | None = None
    packages: tuple[Member, ...] = ()

    def __post_init__(self) -> None:
        """A model is a file with a SHA-256 or a folder from an archive; never both."""
        if (self.sha256 is None) == (self.archive is None):
            raise ValueError("a model has either sha256 or archive")

    @property
    def commercial(self) -> bool:
        """Whether the licence allows commercial use."""
        return "-NC-" not in self.licence

    @property
    def file(self) -> str:
        """The name of what lies at the official address."""
        return PurePosixPath(urlsplit(self.address).path).name


class Registry(Table, frozen=True):
    """All the models we know, by name."""

    packages: dict[str, Package]
    models: dict[str, Model]

    @classmethod
    def load(cls, path: Path = _OWN) -> "Registry":
        """Read a registry file; the one that comes with soripan unless another is named."""
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), cls)

    def names(self, kind: Kind, language: str | None = None) -> list[str]:
        """The models of a kind, for a language if one is named, in the order of the file."""
        return [
            name
            for name, model in self.models.items()
            if model.kind == kind and language in (None, model.language)
        ]

    def model(self, name: str) -> Model:
        """Look a model up.

        Raises:
            ModelMissingError: nobody knows it; the message names the nearest one.
        """
        if name in self.models:
            return self.models[name]
        near = difflib.get_close_matches(name, self.models, n=1)
        hint = f"did you mean “{near[0]}”?" if near else "`soripan models list` shows all"
        raise ModelMissingError(f"{name}: no such model ({hint})")
