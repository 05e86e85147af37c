"""The small text-to-image model inside the package: its net, its words, its weights and how it was trained."""
