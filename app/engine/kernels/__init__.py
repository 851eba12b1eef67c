"""Parley's own GPU kernels: CUDA C compiled by NVRTC at the first start, and what prepares and launches them."""
