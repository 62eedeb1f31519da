"""What Noria claims, measured: `make bench` lists the benchmarks, `python -m benchmarks.NAME` runs one.

A benchmark is a file, or a folder with a `__main__.py`. None imports another; what two of them use is in `shared`.
"""
