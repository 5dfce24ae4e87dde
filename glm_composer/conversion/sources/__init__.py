"""Where genomes come from: one module a kind of source, registered under the name a yaml uses.

A builder takes its settings (a dataclass with a `name`) and returns a list of `Assembly`, or of
`WindowFile` where the windows are cut already. What can be known without reading sequence is
checked at once, so that what is wrong is said before any work; sequence is read one contig or
batch at a time, perhaps by other processes: the functions a builder hands out are picklable.
Adding a source is adding a module here.
"""
