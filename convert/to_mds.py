"""Convert a genome into windows in MDS shards: python convert/to_mds.py YAML key=value ..."""

import sys

from glm_composer.conversion.command import main

if __name__ == "__main__":
    sys.exit(main())
