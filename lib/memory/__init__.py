"""The paper's mechanisms, one file each, on arrays, and the step that uses them in its order."""
