"""`glm sweep`: many runs of one configuration, by a grid or a search, N at a time.

`RUNS_DIR/sweeps/NAME/` holds `sweep.json` (what is swept), `trials.jsonl` (the journal: an event a
line, what survives a kill), `NAME-0001.yaml` and `.log` of each trial, and `report.html`. Each
trial is a run of its own, `RUNS_DIR/NAME-0001/`, trained by a process of its own.
"""
