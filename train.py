"""composer train.py yamls/quickstart.yaml key=value ... (`glm train`, on many devices)."""

import sys

from glm_composer.cli import main

main(["train", *sys.argv[1:]])
