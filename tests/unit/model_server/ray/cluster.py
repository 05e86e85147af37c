"""The program of `running_cluster`: a cluster on this machine until standard input ends.

`serve run model_server.ray_app:app` in small: no dashboard, little shared memory, on loopback. Says `ready`; a line
`replicas MIN MAX` deploys again with so many of them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from model_server import ray_app  # first: it sets what Ray reads as it is imported

import ray  # isort: skip
from ray import serve  # isort: skip

OBJECT_STORE_BYTES = 80_000_000


def main(folder: Path, port: int) -> None:
    ray.init(
        num_cpus=4,  # in Ray's books only: more than two replicas' share, so that a new one finds a place at once
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        log_to_driver=False,
        configure_logging=False,
        _node_ip_address="127.0.0.1",
        _temp_dir=str(folder),
    )
    try:
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
        serve.run(ray_app.app(), name="model", route_prefix="/")
        print("ready", flush=True)
        for line in sys.stdin:
            _, os.environ["IMPRIMATUR_RAY_MIN_REPLICAS"], os.environ["IMPRIMATUR_RAY_MAX_REPLICAS"] = line.split()
            serve.run(ray_app.app(), name="model", route_prefix="/")
            print(f"done {line.strip()}", flush=True)
    finally:
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
