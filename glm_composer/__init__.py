"""Train, evaluate and serve genomic language models on MosaicML Composer and Streaming.

One window of DNA travels one way: genome -> windows -> MDS shards -> batches -> corrupted input
and labels -> encoder -> loss; a trained model then meets variants -> windows -> scores ->
metrics. The subpackages follow that road. Importing this package imports nothing else.
"""

__version__ = "0.1.0"
