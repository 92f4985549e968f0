"""The launcher: N training nodes on one machine, started, kept earning, stopped, and seen."""
