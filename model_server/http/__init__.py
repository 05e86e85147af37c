"""The HTTP side: who may call, what a body may hold, what goes back. Never waits for the device."""
