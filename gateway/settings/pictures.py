"""What is looked for in prompts and pictures, and what a picture is marked with."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from gateway.settings.section import Section


class PictureClassifier(Section):
    """One ONNX classifier of the operator's: input (1, 3, side, side) of RGB with ImageNet's mean and spread."""

    name: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", description="Names it in records.")
    category: Literal["violence", "hate-symbols", "likeness", "medical-gore", "weapons", "drugs"] = Field(
        description="What it looks for; its findings are `picture.` and this."
    )
    path: Path = Field(description="The ONNX file, on every replica.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Its SHA-256. Another file is not run.")
    side: int = Field(224, ge=32, le=1024, description="Pixels a side of its input.")
    output: int = Field(1, ge=0, description="Which of its outputs is the category's, from 0.")
    softmax: bool = Field(True, description="Whether its outputs are logits. False: probabilities already.")
    review: float = Field(0.5, ge=0, le=1, description="Score from which a person has to look.")
    deny: float = Field(0.9, ge=0, le=1, description="Score from which it is refused.")


class ScreeningSettings(Section):
    timeout_seconds: PositiveFloat = Field(
        0.5, description="Screening that takes longer yields `screening.unavailable`."
    )
    picture_timeout_seconds: PositiveFloat = Field(
        20.0,
        description="Looking at a picture, the wait for a worker included, that takes longer yields "
        "`screening.unavailable`.",
    )
    picture_workers: PositiveInt = Field(
        2, description="Processes that look at pictures, each with one core and about 0.4 GB; started when needed."
    )
    picture_classifiers: tuple[PictureClassifier, ...] = Field(
        (), description="Your own ONNX classifiers for what no shipped detector looks for, such as violence."
    )
    memorisation_days: int = Field(
        7,
        ge=0,
        description="How long the fingerprints of a finished picture and of its largest faces are kept beside a "
        "pseudonym, to see a model give the same picture or face to different people for different prompts. "
        "0 = nothing is kept and nothing seen.",
    )
    upload_timeout_seconds: PositiveFloat = Field(
        20.0, description="Decoding a request's uploads that takes longer yields `screening.unavailable`."
    )
    semantic: Literal["on", "off"] = Field(
        "on", description="Whether prompts are also read for their meaning. Off: words only, on your word."
    )
    semantic_timeout_seconds: PositiveFloat = Field(
        2.0, description="Reading a text for its meaning that takes longer yields `screening.unavailable`."
    )
    reload_seconds: PositiveFloat = Field(1.0, description="How often the rule files are looked at for changes.")
    lists_path: Path | None = Field(
        None, description="Folder of imported lists. None: `lists` in the folder of the rules."
    )
    hints_per_minute: PositiveInt = Field(
        600, description="Hints while typing, a person. The studio asks after each pause, not after each key."
    )
    moderations_per_minute: PositiveInt = Field(300, description="Requests to /v1/moderations a person.")
    secret_path: Path = Field(
        Path("state/secrets/screening.key"), description="File with the key of the HMACs that stand for found values."
    )


class CertificateFiles(Section):
    """A certificate that signs Content Credentials."""

    chain_path: Path = Field(description="Its chain in PEM, the signer's own certificate first.")
    key_path: Path = Field(description="Its private key in PEM (P-256, Ed25519 or RSA), mode 0600.")


class ProvenanceSettings(Section):
    """Content Credentials, watermark and fingerprints of pictures."""

    directory: Path = Field(
        Path("state/provenance"),
        description="Folder of the first certificate set, made by `imprimatur provenance init`.",
    )
    certificates: tuple[CertificateFiles, ...] = Field(
        (),
        description="Your own certificates (`chain_path`, `key_path` each); the newest valid one signs. Empty = the "
        "set in `directory`.",
    )
    trust_anchor_paths: tuple[Path, ...] = Field(
        (), description="Roots in PEM whose Content Credentials are trusted, beside that of the set in `directory`."
    )
    watermark_secret_path: Path = Field(
        Path("state/secrets/watermark.key"),
        description="File with the secret of the invisible watermark (32+ characters). Losing it loses all marks.",
    )
    older_watermark_secret_paths: tuple[Path, ...] = Field(
        (), description="Secrets of before, which still read what they marked; each makes a check slower."
    )
    block_list_path: Path | None = Field(
        None, description="File with PDQ fingerprints of pictures nobody may make or send, one a line with a label."
    )
    create_keys: bool = Field(
        False, description="Make a certificate set and the watermark's secret at start where none are; for trials."
    )
    remember_days: int = Field(
        365,
        ge=1,
        description="How long a check knows a picture by watermark or fingerprint. No person is kept with it.",
    )
    check_timeout_seconds: PositiveFloat = Field(
        20.0, description="Taking a picture apart for a check that takes longer is given up."
    )
    checks_per_minute: PositiveInt = Field(30, description="Pictures one person may have checked in a minute.")
