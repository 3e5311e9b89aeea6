"""One GPU at its own speed: Triton kernels, quantized layers, paged keys and values, CUDA graphs.

Nothing here but `products` is imported before a CUDA device is known to be there.
"""
