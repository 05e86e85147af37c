"""What a picture shows: one decoded copy, looked at by one detector after the other. Runs in a worker, never in the
gateway's own process."""

from __future__ import annotations

import base64
import io
import warnings
from typing import Any, Final

import numpy as np
from PIL import Image

from gateway.exchange import Picture
from gateway.prints.fingerprint import turned
from gateway.prints.windows import asked
from gateway.screening.image.classify import score
from gateway.screening.image.decode import NotAPicture, check_picture
from gateway.screening.image.faces import Faces, faces
from gateway.screening.image.nudity import nudity
from gateway.screening.image.reading import MOST_CHARS, read
from gateway.screening.image.seen import Classifier, Look
from gateway.screening.image.weights import Pixels

FLAT: Final = 3
"""Steps of 256 between the darkest and the lightest value of each colour: nothing can be seen in less."""
SMALLEST: Final = 12
"""Pixels of the longer side: nothing can be told in a smaller picture, by nets or by people."""
LARGEST: Final = 2_048
"""Pixels of the longer side of what the detectors share. None of them is shown more than 960 at once."""


def look(picture: Picture, classifiers: tuple[Classifier, ...] = ()) -> Look:
    """All detectors over one picture. One that fails is named in `failed`; the others answer none the less."""
    try:
        check_picture(picture)
    except NotAPicture as error:
        return Look(broken=str(error))
    sights = [pixels for pixels in _sights(picture) if _shows_something(pixels)]
    if not sights:
        return Look()
    answers: dict[str, Any] = {}
    failed: list[str] = []
    for name, ask in _DETECTORS.items():
        try:
            answers[name] = [ask(pixels) for pixels in sights]
        except MemoryError:
            raise
        except Exception:  # whatever a net says to a strange picture: no answer is never a yes
            failed.append(name)
    classes: dict[str, float] = {}
    for classifier in classifiers:
        try:
            classes[classifier.name] = max(score(classifier, pixels) for pixels in sights)
        except MemoryError:
            raise
        except Exception:  # onnxruntime's own errors share no base
            failed.append(classifier.name)
    seen: list[Faces] = answers.get("faces", [])
    marks = [mark for laid in answers.get("fingerprint", []) for mark in laid]
    return Look(
        text="\n".join(dict.fromkeys(text for text in answers.get("text", []) if text))[:MOST_CHARS],
        fingerprints=tuple(str(mark) for mark in marks),
        quality=max((mark.quality for mark in marks), default=0),
        windows=base64.b64encode(b"".join(prints.tobytes() for prints in answers.get("windows", []))).decode(),
        faces=tuple(base64.b64encode(prints).decode() for one in seen for prints in one.prints),
        realistic=max((one.realistic for one in seen), default=0.0),
        doubtful=max((one.doubtful for one in seen), default=0.0),
        nudity=max(answers.get("nudity", [0.0])),
        classes=classes,
        failed=tuple(failed),
    )


_DETECTORS: Final = {"fingerprint": turned, "windows": asked, "text": read, "faces": faces, "nudity": nudity}


def _sights(picture: Picture) -> list[Pixels]:
    """The picture as a model sees it, without its transparency; and, where something shows through, as a person sees
    it, on white or on black, whichever is further from its colours: each can hide what the other shows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # `check_picture` was stricter
        with Image.open(io.BytesIO(picture.data)) as image:
            image.load()
            is_clear = image.has_transparency_data
            whole = image.convert("RGBA" if is_clear else "RGB")
    whole.thumbnail((LARGEST, LARGEST), Image.Resampling.BILINEAR, reducing_gap=2)
    plain = np.ascontiguousarray(np.asarray(whole)[:, :, :3])
    if not is_clear:
        return [plain]
    ground = Image.new("RGBA", whole.size, "white" if plain.mean() < 128 else "black")
    ground.alpha_composite(whole)
    return [plain, np.ascontiguousarray(np.asarray(ground)[:, :, :3])]


def _shows_something(pixels: Pixels) -> bool:
    flat = pixels.reshape(-1, 3)
    return max(pixels.shape[:2]) >= SMALLEST and int((flat.max(0).astype(int) - flat.min(0)).max()) > FLAT
