"""The engine in this process: a worker thread, its queue and its batch."""
