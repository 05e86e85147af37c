"""The network with integers: the same meanings, none of the float products left, and nothing else changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest

from gateway.screening.semantic.encoder import LAYERS, Encoder, model_path
from gateway.screening.semantic.integers import with_integers

TEXTS = (
    "a man strangling his rival in a dark alley, oil painting",
    "a bowl of ramen on a wooden table, 85mm f/1.8",
    "I can't go on, tonight I will end it all",
    "eine alte Brücke im Nebel",
)


@pytest.fixture(scope="module")
def shipped() -> bytes:
    return model_path().read_bytes()


def test_it_says_nearly_what_the_network_with_floats_says(shipped: bytes) -> None:
    encoder = Encoder()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    floats = onnxruntime.InferenceSession(shipped, options, providers=["CPUExecutionProvider"])
    for text in TEXTS:
        ids = encoder.pieces(text).ids
        row = np.concatenate(([101], ids, [102]))[None, :]
        given: dict[str, Any] = {
            "input_ids": row, "attention_mask": np.ones_like(row), "token_type_ids": np.zeros_like(row),
        }  # fmt: skip
        expected = floats.run(["last_hidden_state"], given)[0][0].mean(axis=0)
        got = encoder.features(ids[None, :])[0].reshape(len(LAYERS), -1)[-1]
        assert float(got @ expected / np.linalg.norm(expected)) > 0.98


def test_every_product_with_a_stored_weight_is_one_of_integers(shipped: bytes) -> None:
    changed = with_integers(shipped)
    products, attention = 36, 12
    assert changed.count(b"\x22\x0dMatMulInteger") == products
    assert shipped.count(b"\x22\x06MatMul") == products + attention
    assert changed.count(b"\x22\x06MatMul") == attention


def test_what_several_weights_are_multiplied_with_is_rounded_once(shipped: bytes) -> None:
    # six layers: once for query, key and value, once for what attention gives, twice between the two wide products
    assert with_integers(shipped).count(b"\x22\x15DynamicQuantizeLinear") == 6 * 4


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\x3a\x05", "ends early"),
        (b"\x3a", "without an end"),
        (b"\x3b\x00", "wire type 3"),
        (b"\x80" * 11, "without an end"),
        (b"\x3a\x00", "no weight"),
        (b"\x3a\x06\x0a\x04\x22\x02Ab", "no weight"),
    ],
)
def test_what_is_no_such_network_is_refused(raw: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        with_integers(raw)


def test_a_value_that_the_network_does_not_have_can_not_be_given_out(shipped: bytes) -> None:
    with pytest.raises(ValueError, match="no value is called layer_norm_99"):
        with_integers(shipped, ["layer_norm_8", "layer_norm_99"])


def test_numbers_of_all_widths_are_passed_over(shipped: bytes) -> None:
    odd = b"\x09" + bytes(8) + b"\x15" + bytes(4) + b"\x08\xac\x02"
    assert with_integers(odd + shipped) == odd + with_integers(shipped)
