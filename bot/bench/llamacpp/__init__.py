"""The benchmark of GGUF files: our engine beside llama.cpp's own server, in the same run."""
