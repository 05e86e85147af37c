"""What the operator sees: metrics of the device and the queue, and log lines that can't hold a prompt."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from model_server.wire import Class

_STEP_BUCKETS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_WAIT_BUCKETS = (0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32)

_LOUD_LIBRARIES = ("diffusers", "transformers", "PIL", "accelerate", "huggingface_hub")
"""Their warnings quote the prompt (CLIP's, on a long one, in full), so nothing of theirs below CRITICAL is logged."""


class Metrics:
    """Counters of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        name = "imprimatur_model_"
        depth = Gauge(name + "queue_depth", "Requests waiting, by class.", ["class"], registry=self.registry)
        self.queue_depths: dict[Class, Gauge] = {c: depth.labels(c) for c in get_args(Class)}
        self.running = Gauge(name + "slots_busy", "Pictures in the step of this moment.", registry=self.registry)
        self.wait = Histogram(
            name + "queue_wait_seconds",
            "Time from acceptance to first step, by class.",
            ["class"],
            buckets=_WAIT_BUCKETS,
            registry=self.registry,
        )
        self.batch = Histogram(
            name + "batch_pictures", "Pictures that shared a step.", buckets=_BATCH_BUCKETS, registry=self.registry
        )
        self.out_of_memory = Counter(
            name + "out_of_memory", "Steps that the device's memory was too small for.", registry=self.registry
        )
        self.memory_peak = Gauge(
            name + "memory_peak_bytes", "Highest use of the device's memory in a step so far.", registry=self.registry
        )
        self.share_of_peak = Gauge(
            name + "share_of_peak",
            "Floating point operations of the last steps, beside what the device did at best, 0 to 1.",
            registry=self.registry,
        )
        self.step = Histogram(
            name + "step_seconds", "Time of one denoising step.", buckets=_STEP_BUCKETS, registry=self.registry
        )
        self.pictures = Counter(name + "pictures", "Pictures finished.", registry=self.registry)
        self.requests = Counter(
            name + "requests", "Requests that were accepted, by how they ended.", ["outcome"], registry=self.registry
        )
        self.refusals = Counter(
            name + "refusals", "Calls that were answered with an error, by its code.", ["code"], registry=self.registry
        )

    def exposition(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self.registry)


class _LineFormatter(logging.Formatter):
    """One JSON object a line: time, level, event, plain fields.

    Arguments and exception messages are left out on purpose: they are where a prompt would slip in. Of an exception
    the line holds its type and the places it came through.
    """

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line: dict[str, object] = {
            "time": f"{stamp}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "event": str(record.msg) if record.name.startswith("model_server") else f"{record.name}: {record.msg}",
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            line.update(fields)
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            frames = traceback.extract_tb(record.exc_info[2])
            line["at"] = [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}" for frame in frames[-6:]]
        return json.dumps(line)


def log(logger: logging.Logger, level: int, event: str, *, trace: bool = False, **fields: str | float | None) -> None:
    """Write one line: an event name and plain fields. `trace` adds the exception being handled, without its message."""
    logger.log(level, event, extra={"fields": fields}, exc_info=trace)


def configure_logging(level: str) -> None:
    """Send every logger of the process through the one formatter, to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_LineFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = name != "uvicorn.access"
    silence_libraries()


def silence_libraries() -> None:
    """Keep the model libraries from writing prompts to the log."""
    for name in _LOUD_LIBRARIES:
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.setLevel(logging.CRITICAL)
