"""The tiny families, for tests of loading them."""

from tests.unit.model_server.pipelines.conftest import copied, root

__all__ = ["copied", "root"]
