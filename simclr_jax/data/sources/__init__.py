"""Data sources: random access to the images and labels of a data set.

One module per storage format. ``opening.open_source`` opens a source by its name. The
modules do not import JAX, since worker processes run them.
"""
