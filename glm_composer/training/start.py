"""From a run's settings to its training: what comes before Composer, which takes seconds."""

from glm_composer.config import Config
from glm_composer.training.allocator import ask_for_huge_pages
from glm_composer.training.composer_import import import_composer
from glm_composer.training.inputs import check_data, check_init


def start(config: Config) -> None:
    """Train in this process, once its inputs are found to be there.

    Raises:
        UserError: the settings, the data or the machine do not fit.
    """
    check_data(config)
    check_init(config)
    ask_for_huge_pages()
    import_composer()
    from glm_composer.training.run import train

    train(config)
