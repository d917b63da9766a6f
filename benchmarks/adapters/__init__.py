"""One script for each kind of implementation, run in processes of their own."""
