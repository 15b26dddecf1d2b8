"""advsmooth: the library behind an executable companion to five papers on loss smoothness and robustness."""

__version__ = "0.1.0"
