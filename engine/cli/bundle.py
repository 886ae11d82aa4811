"""The verbs `export` and `import`: a run as one file, with its data where they are asked for."""

from __future__ import annotations

import argparse
from typing import Any

from engine.cli.console import Console
from engine.cli.errors import Failed
from engine.cli.out_file import writable
from engine.cli.parser import VerbParsers
from engine.cli.runs import add_place_of_data, located_run_path, runs_root
from engine.common.counting import number_of
from engine.common.user_folders import person_path


def add(verbs: VerbParsers) -> None:
    """Their words."""
    out = verbs.add("export", export, "Write a run into one file, to be opened elsewhere with `import`.")
    out.add_argument("run", metavar="RUN", help="a run's name or folder")
    out.add_argument("--out", required=True, metavar="F.zip", help="the file to write")
    out.add_argument("--with-data", action="store_true", help="also the data set, where it is your own; built-in ones need none")
    out.add_argument("--without-resume", action="store_true", help="leave out what only going on with the training needs; most of the size")
    out.add_argument("--runs", metavar="DIR", help="where runs are kept")
    add_place_of_data(out)
    sub = verbs.add("import", take_in, "Put a run that `export` has written among the runs; every file is checked by its hash.")
    sub.add_argument("file", metavar="F.zip", help="the bundle")
    sub.add_argument("--name", metavar="NAME", help="what the run is called here; as it was called, when left out")
    sub.add_argument("--runs", metavar="DIR", help="where runs are kept")


def export(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """{"file", "files", "bytes", "run_bytes", "resume_bytes", "with_data", "without_resume", "left_out"}."""
    from engine.bundle import export_run, size_of
    from engine.queries.progress import counted

    run, out = located_run_path(options, console), writable(options.out, "--out")
    every, resume = size_of(run)
    console.say(f"{run.name} is {every / 1e6:,.1f} MB, {resume / 1e6:,.1f} MB of them only for going on with the training.")
    packing = export_run(run, out, options.with_data, options.without_resume)
    done = console.run(counted(packing, "", str(run), "file", "Packing"))
    for sentence in done.left_out:
        console.note(sentence)
    data = ", with its data" if done.with_data else ""
    data += ", without what going on with the training needs" if done.without_resume else ""
    console.say(f"{run.name}{data}: {number_of(done.files, 'file')}, {done.bytes / 1e6:,.1f} MB before packing, in {out}")
    told = {"file": str(out), "files": done.files, "bytes": done.bytes, "run_bytes": every, "resume_bytes": resume}
    return told | {"with_data": done.with_data, "without_resume": done.without_resume, "left_out": list(done.left_out)}


def take_in(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """{"run", "data"}: where they are now; data is null where the bundle has none."""
    from engine.bundle import import_run
    from engine.queries.progress import counted

    file = person_path(options.file)
    if not file.is_file():
        raise Failed(f"There is no file “{options.file}”: name a bundle that `export` has written.")
    found = console.run(counted(import_run(file, runs_root(options), options.name), "", str(file), "file", "Unpacking"))
    only = ". It was exported without what going on with the training needs: it can be looked at, not trained further"
    console.say(
        f"{found.run.name} is in {found.run}{f', its data in {found.data}' if found.data else ''}{only if found.without_resume else ''}"
    )
    return {"run": str(found.run), "data": None if found.data is None else str(found.data)}
