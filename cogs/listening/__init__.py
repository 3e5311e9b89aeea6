"""Gateway events to the conversation core."""
