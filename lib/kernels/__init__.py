"""Steps of the model as compiled loops: names and arguments are those of the plain ones."""
