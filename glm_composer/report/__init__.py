"""A run's directory -> one self-contained HTML page, and a few tables on the terminal.

Reads files only: neither torch nor Composer is needed to report on a run.
"""

from glm_composer.report.page import write_report
from glm_composer.report.terminal import print_summary

__all__ = ["print_summary", "write_report"]
