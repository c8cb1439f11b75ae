"""Sources: the images and labels of a data set, read record by record.

One module for each form of storage. ``open_source`` finds the one that a name asks for.
No module here imports jax: worker processes run them.
"""
