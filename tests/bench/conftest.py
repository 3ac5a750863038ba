"""Keeps pytest out of this folder: what stands here is measured by `./run bench`, not tested."""

collect_ignore_glob = ["*.py"]
