"""What we promise of every rendered chart beyond Kubernetes' own schemas. Each rule yields sentences of complaint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from helm.charts import Rendered
from helm.rules.model_server import (
    certificates_are_at_both_ends,
    model_server_settings_are_its_own,
    models_are_ones_that_the_server_reads,
)
from helm.rules.network import only_named_edges_are_open
from helm.rules.pods import (
    containers_are_restricted,
    disruption_is_bounded,
    everything_says_where_it_lives,
    images_are_pinned,
    migration_comes_first,
    pods_answer_probes_and_stop_gently,
    pods_are_restricted,
    the_log_has_one_writer,
)
from helm.rules.settings import keys_go_where_they_are_needed, settings_are_the_gateways

Rule = Callable[[Rendered], Iterator[str]]

RULES: Final[tuple[Rule, ...]] = (
    pods_are_restricted,
    containers_are_restricted,
    everything_says_where_it_lives,
    images_are_pinned,
    pods_answer_probes_and_stop_gently,
    the_log_has_one_writer,
    disruption_is_bounded,
    migration_comes_first,
    settings_are_the_gateways,
    model_server_settings_are_its_own,
    certificates_are_at_both_ends,
    models_are_ones_that_the_server_reads,
    keys_go_where_they_are_needed,
    only_named_edges_are_open,
)
