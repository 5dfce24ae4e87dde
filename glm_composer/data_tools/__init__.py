"""Looking at a dataset that is there: checks, figures, single windows, leaks between splits."""
