"""python convert/to_mds.py yamls/convert/yeast.yaml key=value ... (the same as `glm convert`)."""

import sys

from glm_composer.cli import main

# Worker processes import this file as well.
if __name__ == "__main__":
    main(["convert", *sys.argv[1:]])
