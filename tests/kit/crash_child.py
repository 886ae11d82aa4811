"""A process that is killed while it writes a run. Started once; each round is a fork, so a round costs milliseconds.

Reads one JSON command per line, answers with one JSON line:
    {"do": "random", "run": PATH, "milliseconds": N}   a child saves checkpoints without end and is killed after N ms
    {"do": "call", "run": PATH, "number": N}           a child saves one checkpoint and dies in the middle of its N-th call to the disk
    {"do": "reading", "run": PATH, "number": N}        a child keeps one reading of final figures and dies likewise
    {"do": "queue", "run": FOLDER, "number": N}        a child takes the queues in a folder over and dies likewise
    {"do": "hold", "run": PATH}                        a child opens the run for writing and waits; {"do": "kill"} kills it
The answer holds the last step that was saved before death, and whether the child came to its end.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from pathlib import Path

from engine.storage.list_file import OwnedList
from engine.storage.run_writer import RunWriter
from tests.kit.runs import AtCall, kill_after_half, reading_at, row_at, save, using


def save_without_end(run: Path, saved: int) -> None:
    writer = RunWriter.resume(run)
    step = writer.manifest.step
    while True:
        step += 1
        writer.append_metrics(row_at(step))
        save(writer, step, keep=step % 8 == 0, best=step % 5 == 0, size=2000)
        os.write(saved, b"%d\n" % step)


def save_once(run: Path, saved: int, number: int) -> None:
    with using(AtCall(number, kill_after_half)):
        writer = RunWriter.resume(run)
        step = writer.manifest.step + 1
        writer.append_metrics(row_at(step))
        save(writer, step)
        os.write(saved, b"%d\n" % step)
        writer.set_status("done")
        writer.close()


def keep_reading(run: Path, saved: int, number: int) -> None:
    with using(AtCall(number, kill_after_half)), RunWriter.resume(run) as writer:
        writer.add_final_figures(reading_at(2))


def take_queue(folder: Path, saved: int, number: int) -> None:
    with using(AtCall(number, kill_after_half)):
        OwnedList(lambda: folder, "queue").read()


def hold(run: Path, saved: int) -> None:
    writer = RunWriter.resume(run)
    save(writer, writer.manifest.step + 1)
    os.write(saved, b"%d\n" % writer.manifest.step)
    signal.pause()


def fork(work, *arguments) -> tuple[int, int]:
    """The child's number, and where it tells what it has saved."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        try:
            work(Path(arguments[0]), writing, *arguments[1:])
        except BaseException:
            import traceback

            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writing)
    return pid, reading


def told(reading: int) -> int | None:
    """The last step a dead child has saved."""
    with os.fdopen(reading, "rb") as pipe:
        lines = pipe.read().split()
    return int(lines[-1]) if lines else None


def main() -> None:
    held = (0, 0)
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "random":
            pid, reading = fork(save_without_end, command["run"])
            select.select([], [], [], command["milliseconds"] / 1000)
            os.kill(pid, signal.SIGKILL)
        elif command["do"] == "call":
            pid, reading = fork(save_once, command["run"], command["number"])
        elif command["do"] == "reading":
            pid, reading = fork(keep_reading, command["run"], command["number"])
        elif command["do"] == "queue":
            pid, reading = fork(take_queue, command["run"], command["number"])
        elif command["do"] == "hold":
            pid, reading = held = fork(hold, command["run"])
            answer = {"pid": pid, "saved": int(os.read(reading, 100) or -1)}
            print(json.dumps(answer), flush=True)
            continue
        else:
            pid, reading = held
            os.kill(pid, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        print(json.dumps({"saved": told(reading), "code": code}), flush=True)


main()
