"""Looking at configurations: list, resolve with origins, check, compare, and the keys' page."""
