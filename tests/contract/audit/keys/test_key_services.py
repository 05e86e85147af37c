"""What every key service promises (``audit/keys/services/port.py``), asked of all four."""

from __future__ import annotations

import base64
import logging
import os
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from audit.canonical import encode
from audit.errors import AuditUnavailable, KeyRefused, KeyServiceUnavailable

if TYPE_CHECKING:  # a conftest is no module to import from
    Bed = FarBed = Any

SECRET = os.urandom(64)
CONTEXT = encode("imprimatur/audit/day-key/v1", "default", "standard", "2026-11-22", "00ff" * 4)
OTHERS = [
    encode("imprimatur/audit/day-key/v1", "other", "standard", "2026-11-22", "00ff" * 4),
    encode("imprimatur/audit/day-key/v1", "default", "abuse", "2026-11-22", "00ff" * 4),
    encode("imprimatur/audit/day-key/v1", "default", "standard", "2026-11-23", "00ff" * 4),
    encode("imprimatur/audit/day-key/v1", "default", "standard", "2026-11-22", "00fe" * 4),
    encode("imprimatur/audit/day-key/v2", "default", "standard", "2026-11-22", "00ff" * 4),
    b"anything",
    b"",
]


def test_what_is_wrapped_comes_back(bed: Bed) -> None:
    service = bed.open()
    for secret in (SECRET, b"x", bytes(64), os.urandom(1024)):
        wrapped = service.wrap(secret, CONTEXT)
        assert secret not in wrapped or secret == b"x"
        assert service.unwrap(wrapped, CONTEXT) == secret
    service.check()
    assert service.name == bed.kind


def test_a_second_process_with_the_same_settings_unwraps(bed: Bed) -> None:
    first, second = bed.open(), bed.open()
    assert second.unwrap(first.wrap(SECRET, CONTEXT), CONTEXT) == SECRET
    assert first.key_id == second.key_id
    assert second.can_unwrap(first.key_id)


def test_the_same_secret_is_never_wrapped_the_same_way_twice(bed: Bed) -> None:
    service = bed.open()
    assert len({service.wrap(SECRET, CONTEXT) for _ in range(20)}) == 20


def test_another_context_opens_nothing(bed: Bed) -> None:
    service = bed.open()
    wrapped = service.wrap(SECRET, CONTEXT)
    for other in OTHERS:
        with pytest.raises(KeyRefused):
            service.unwrap(wrapped, other)
        with pytest.raises(KeyRefused):
            service.unwrap(service.wrap(SECRET, other), CONTEXT)


def test_swapped_keys_of_two_days_do_not_open(bed: Bed) -> None:
    service = bed.open()
    today, tomorrow = service.wrap(b"today", OTHERS[0]), service.wrap(b"tomorrow", OTHERS[2])
    for wrapped, context in ((today, OTHERS[2]), (tomorrow, OTHERS[0])):
        with pytest.raises(KeyRefused):
            service.unwrap(wrapped, context)


def test_one_changed_bit_anywhere_is_refused(bed: Bed) -> None:
    service = bed.open()
    wrapped = service.wrap(SECRET, CONTEXT)
    for at in range(len(wrapped)):
        changed = bytearray(wrapped)
        changed[at] ^= 1 << (at % 8)
        with pytest.raises(KeyRefused):
            service.unwrap(bytes(changed), CONTEXT)


@pytest.mark.parametrize("spoil", [lambda b: b"", lambda b: b[:1], lambda b: b[:20], lambda b: b[:-1], lambda b: b[1:]])
def test_what_was_cut_short_is_refused(bed: Bed, spoil: Any) -> None:
    service = bed.open()
    with pytest.raises(KeyRefused):
        service.unwrap(spoil(service.wrap(SECRET, CONTEXT)), CONTEXT)


@pytest.mark.parametrize("tail", [b"\0", b"=", b"A", b"\n", b"A" * 10_000])
def test_what_was_made_longer_is_refused(bed: Bed, tail: bytes) -> None:
    service = bed.open()
    with pytest.raises(KeyRefused):
        service.unwrap(service.wrap(SECRET, CONTEXT) + tail, CONTEXT)


@pytest.mark.parametrize("size", [0, 1025, 100_000])
def test_nothing_is_no_secret_and_much_is_none_either(bed: Bed, size: int) -> None:
    with pytest.raises(ValueError, match="1 to 1024 bytes"):
        bed.open().wrap(bytes(size), CONTEXT)


def test_a_rotated_key_wraps_under_its_new_name_and_opens_what_is_older(bed: Bed) -> None:
    before = bed.open()
    old_id, old = before.key_id, before.wrap(SECRET, CONTEXT)
    bed.rotate()
    after = bed.open()
    new_id, new = after.key_id, after.wrap(SECRET, CONTEXT)
    assert new_id != old_id
    assert after.unwrap(old, CONTEXT) == after.unwrap(new, CONTEXT) == SECRET
    assert after.can_unwrap(old_id)
    assert after.can_unwrap(new_id)
    after.check()


def test_keys_of_others_are_not_ours(bed: Bed) -> None:
    service = bed.open()
    for key_id in ("", "0123456789abcdef", "transit:transit/other:v1", "pkcs11:audit/other", service.key_id + "0x"):
        assert not service.can_unwrap(key_id)


def test_a_destroyed_key_opens_nothing_in_a_process_that_runs_either(bed: Bed) -> None:
    running = bed.open()
    wrapped = running.wrap(SECRET, CONTEXT)
    bed.destroy()
    with pytest.raises(KeyRefused):
        running.unwrap(wrapped, CONTEXT)
    with pytest.raises(KeyRefused):
        running.check()
    with pytest.raises(KeyRefused):
        bed.open().unwrap(wrapped, CONTEXT)


def test_a_disabled_key_opens_nothing_until_it_is_enabled_again(bed: Bed) -> None:
    service = bed.open()
    wrapped = service.wrap(SECRET, CONTEXT)
    bed.disable()
    with pytest.raises(KeyRefused):
        service.unwrap(wrapped, CONTEXT)
    bed.enable()
    assert service.unwrap(wrapped, CONTEXT) == SECRET


def test_a_service_that_is_down_says_so_in_time_and_works_again_after(far_bed: FarBed, timeout_seconds: float) -> None:
    service = far_bed.open()
    wrapped = service.wrap(SECRET, CONTEXT)
    with far_bed.down() as changes:
        troubled = far_bed.open(timeout_seconds=timeout_seconds, **changes)
        for call in (lambda: troubled.unwrap(wrapped, CONTEXT), lambda: troubled.wrap(SECRET, CONTEXT), troubled.check):
            begun = time.monotonic()
            with pytest.raises(KeyServiceUnavailable) as caught:
                call()
            assert time.monotonic() - begun < timeout_seconds + 0.5
            assert isinstance(caught.value, AuditUnavailable)  # the gateway fails closed
    assert service.unwrap(wrapped, CONTEXT) == SECRET


def test_many_threads_get_each_their_own(bed: Bed) -> None:
    service = bed.open()

    def round_trips(number: int) -> bool:
        context = encode("test", number)
        secrets = [os.urandom(64) for _ in range(10)]
        wrapped = [service.wrap(secret, context) for secret in secrets]
        return [service.unwrap(item, context) for item in wrapped] == secrets

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(round_trips, range(16)))


def test_a_closed_service_may_be_closed_again(bed: Bed) -> None:
    service = bed.open()
    service.close()
    service.close()


def test_no_error_and_no_log_tells_a_secret(bed: Bed, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    service = bed.open()
    wrapped = service.wrap(SECRET, CONTEXT)
    assert service.unwrap(wrapped, CONTEXT) == SECRET
    changed = wrapped[:-4] + bytes([wrapped[-4] ^ 1]) + wrapped[-3:]
    told = [repr(service), str(service), repr(vars(service).get("_settings"))]
    for spoiled in (changed, wrapped[:-5], b"", wrapped):
        if spoiled is wrapped:
            bed.destroy()
        try:
            service.unwrap(spoiled, CONTEXT)
        except KeyRefused as error:
            told += traceback.format_exception(error)
        else:
            pytest.fail("was opened")
    told += [record.getMessage() + str(record.__dict__) for record in caplog.records]
    hidden = [*bed.secrets]
    for value in (SECRET, wrapped, changed):
        hidden += [base64.b64encode(value).decode()[:40], value.hex()[:40], repr(value)[2:40], str(value)[2:40]]
    for text in told:
        for secret in hidden:
            assert secret not in text, text[:200]
