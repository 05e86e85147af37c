"""Pictures that come back from the model."""
