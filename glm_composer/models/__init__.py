"""Networks. Nothing here knows Composer, Streaming or files, so an exported model needs none."""
