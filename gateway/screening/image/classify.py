"""Classifiers that the operator brings: violence, hate symbols, likeness of people. No package ships weights for these
that may be shipped on, so a company declares its own by path and SHA-256."""

from __future__ import annotations

from typing import Final

import numpy as np
from PIL import Image

from gateway.screening.image.seen import Classifier
from gateway.screening.image.weights import ModelUnusable, Pixels, declared

MEAN: Final = np.array([0.485, 0.456, 0.406], np.float32)
SPREAD: Final = np.array([0.229, 0.224, 0.225], np.float32)
"""ImageNet's, which nearly every classifier is taught with."""


def score(classifier: Classifier, pixels: Pixels) -> float:
    """0 to 1. Raises ModelUnusable for a net that is not the declared one, or answers something else."""
    image = Image.fromarray(pixels).resize((classifier.side, classifier.side), Image.Resampling.BILINEAR)
    values = (np.asarray(image, np.float32) / 255 - MEAN) / SPREAD
    said = (
        declared(classifier.path, classifier.sha256)
        .run(np.ascontiguousarray(values.transpose(2, 0, 1)[None]))[0]
        .ravel()
    )
    if classifier.output >= len(said):
        raise ModelUnusable(f"{classifier.name}: expected more than {classifier.output} outputs, got {len(said)}")
    if classifier.softmax:
        said = np.exp(said - said.max())
        said = said / said.sum()
    found = float(said[classifier.output])
    if not 0 <= found <= 1:  # NaN too
        raise ModelUnusable(f"{classifier.name}: expected a probability")
    return found
