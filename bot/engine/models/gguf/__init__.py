"""GGUF files from the inside: read with bounds, and checked for what llama.cpp would trip over."""
