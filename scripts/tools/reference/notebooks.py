"""Runs docs/notebooks/*.ipynb in Jupyter's own client with Deno's kernel, and fails at the first cell that does.

    pip install nbclient==0.10.2
    deno jupyter --install && python notebooks.py
"""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "notebooks"

for path in sorted(FOLDER.glob("*.ipynb")):
    notebook = nbformat.read(path, as_version=4)
    kept = [cell.get("outputs", []) for cell in notebook.cells]
    NotebookClient(notebook, kernel_name="deno", timeout=300, resources={"metadata": {"path": str(FOLDER)}}).execute()
    for cell, before in zip(notebook.cells, kept):
        kinds = [output.output_type for output in cell.get("outputs", [])]
        print(path.name, cell.id, kinds)
