"""vLLM beside our engine: `python -m bot bench --peer vllm`."""
