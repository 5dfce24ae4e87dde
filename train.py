"""composer train.py yamls/quickstart.yaml key=value ... (`glm train`, on many devices)."""

import sys

from glm_composer.cli import main

# Worker processes that are spawned import this file as well.
if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
