"""Nothing of ours calls out. Import this before any library of models: each reads these once, as it is imported.

A model is what lies on disk. A server that would fetch what is missing could be made to fetch something else, and
telemetry tells a stranger what a company draws with.
"""

import os

for _name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"):
    os.environ[_name] = "1"
for _name in ("HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "DO_NOT_TRACK"):
    os.environ[_name] = "1"
