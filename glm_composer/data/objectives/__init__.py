"""What a model is asked to predict; one file an objective, each a pure function of its inputs."""
