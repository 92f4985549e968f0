"""Its sitecustomize.py runs in the processes of the nodes, not in the exporter."""
