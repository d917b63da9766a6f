"""Faults put into trainings, which are then resumed and compared bit for bit with unbroken ones."""
