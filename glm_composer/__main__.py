"""`python -m glm_composer VERB ...` is `glm VERB ...`, of this very interpreter."""

from glm_composer.cli import main

# Worker processes that are spawned import this file as well.
if __name__ == "__main__":
    main()
