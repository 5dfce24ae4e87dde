"""python convert/to_mds.py yamls/convert/yeast.yaml key=value ... (the same as `glm convert`)."""

import sys

from glm_composer.cli import main

main(["convert", *sys.argv[1:]])
