"""What kernels and caches do to a real model's text: `scripts/bench_texts.py`."""
