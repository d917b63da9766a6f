"""Trainings that show what the library learns: how far it generalises, and what each part does."""
