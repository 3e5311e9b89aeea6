"""Discord: the only place that imports discord. It talks to the core, never to store or model."""
