"""GPTQ: the layouts its weights lie in, how they are staged, made and multiplied."""
