"""Well-known models, and which of them this machine can run."""
