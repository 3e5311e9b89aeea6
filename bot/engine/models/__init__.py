"""What lies on disk: folders, weights, GGUF and GPTQ files, the hub. Loads no torch by itself."""
