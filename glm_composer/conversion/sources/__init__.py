"""Where genomes come from: one module a kind of source, registered under the name a yaml uses.

A builder takes its settings (a dataclass with a `name`) and returns a list of `Assembly`. Lengths
and annotation are read at once, so that what is wrong with them is said before any work; sequence
is read one contig at a time. Adding a source is adding a module here.
"""
