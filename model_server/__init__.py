"""The model server: prompt to picture over HTTP. It knows nothing of people, policy or the gateway in front of it."""
