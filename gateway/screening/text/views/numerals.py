"""Numbers as words in English, German, Spanish and French: what each word stands for."""

from __future__ import annotations

from typing import Final

DIGITS: Final[dict[str, str]] = {
    word: str(value)
    for words in (
        "zero one two three four five six seven eight nine",
        "null eins zwei drei vier fünf sechs sieben acht neun",
        "cero uno dos tres cuatro cinco seis siete ocho nueve",
        "zéro un deux trois quatre cinq six sept huit neuf",
    )
    for value, word in enumerate(words.split())
} | {"oh": "0", "ein": "1", "zwo": "2", "fuenf": "5", "funf": "5", "une": "1", "nought": "0", "niner": "9"}
"""The German "fünf" also as it is typed without its dots; `zero` as `zéro` is typed is English already."""

_UNITS_GERMAN: Final = ("ein", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun")
_TENS_GERMAN: Final = ("zwanzig", "dreißig", "vierzig", "fünfzig", "sechzig", "siebzig", "achtzig", "neunzig")

GERMAN_PAIR: Final = rf"(?:{'|'.join(_UNITS_GERMAN)})und(?:{'|'.join(_TENS_GERMAN)})"
"""A pattern for "einundzwanzig" to "neunundneunzig", which are seventy-two words of `PAIRS`."""


def _counted(words: str, first: int) -> dict[str, str]:
    return {word: str(value) for value, word in enumerate(words.split(), first)}


PAIRS: Final[dict[str, str]] = (
    _counted("ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen", 10)
    | _counted("zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn", 10)
    | _counted("diez once doce trece catorce quince dieciséis diecisiete dieciocho diecinueve", 10)
    | _counted(
        "veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis veintisiete veintiocho veintinueve", 21
    )
    | _counted("onze douze treize quatorze quinze seize", 11)
    | {
        f"{unit}und{ten}": f"{tens}{units}"
        for tens, ten in enumerate(_TENS_GERMAN, 2)
        for units, unit in enumerate(_UNITS_GERMAN, 1)
    }
)
"""Words that stand for two digits whatever follows."""

TENS: Final[dict[str, str]] = (
    _counted("twenty thirty forty fifty sixty seventy eighty ninety", 2)
    | _counted(" ".join(_TENS_GERMAN), 2)
    | _counted("veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa", 2)
    | _counted("dix vingt trente quarante cinquante soixante", 1)
)
"""Words that a unit may follow: "forty one" is 41, "forty" alone 40; "dix-sept" is 17."""

CONNECTORS: Final = frozenset({"y", "et"})
"""Between tens and units: "cuarenta y uno", "vingt et un"."""

TIMES: Final[dict[str, int]] = {"double": 2, "doppel": 2, "doble": 2, "triple": 3, "treble": 3}
