"""Every action of the shell: its words, its menu, its keys. Panes add theirs through the same registry."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from PySide6.QtGui import QAction, QKeySequence, QUndoStack

from app.shell.actions import Actions
from app.shell.bottom_bar import BottomBar
from app.shell.centre import Centre
from app.shell.drop_handler import DropHandler
from app.shell.final_figures import ACTION, CONSEQUENCE
from app.shell.job_verbs import CONSEQUENCES
from app.shell.playback import Playback
from app.shell.run_actions import RunActions
from app.shell.side_fold import SideFold
from app.shell.state import State
from app.shell.theme_switch import ThemeSwitch

KEYS = QKeySequence.StandardKey
Act = Callable[[], object]


def add_file_actions(registry: Actions, new_run: Act, files: DropHandler, shut: Act) -> None:
    add = registry.add
    add("run.new", "New run…", new_run, menu="File", shortcut=KEYS.New, help="Describe a new training and start it")
    help = "Look at a run folder that lies somewhere else"
    add("file.open_run", "Open run…", files.ask_run, menu="File", shortcut=KEYS.Open, help=help)
    help = "Put a run that was exported into one file among the runs"
    add("file.import_run", "Import run…", files.ask_bundle, menu="File", help=help)
    help = "Inspect a folder of images as a data set"
    add("data.open", "Open data folder…", files.ask_data, menu="File", shortcut="Ctrl+Shift+O", help=help)
    help = "Inspect an IDX, npz, npy or text file as a data set"
    add("data.open_file", "Open data file…", files.ask_data_file, menu="File", help=help)
    add("file.open_image", "Open image…", files.ask_image, menu="File", shortcut="Ctrl+I", help="Give an image to the pane in front")
    help = "Close the window; a training is kept and can be continued"
    add("app.quit", "Quit", shut, menu="File", shortcut=["Ctrl+Q"], help=help).setMenuRole(QAction.MenuRole.QuitRole)


def add_edit_actions(registry: Actions, stack: QUndoStack, paste: Act) -> None:
    add = registry.add
    help = "Take back the last change of a slider or a setting"
    undo = add("edit.undo", "Undo", stack.undo, menu="Edit", shortcut=KEYS.Undo, help=help)
    redo = add("edit.redo", "Redo", stack.redo, menu="Edit", shortcut=["Ctrl+Shift+Z", "Ctrl+Y"], help="Do again what was taken back")
    undo.setEnabled(stack.canUndo())
    redo.setEnabled(stack.canRedo())
    stack.canUndoChanged.connect(undo.setEnabled)
    stack.canRedoChanged.connect(redo.setEnabled)
    stack.undoTextChanged.connect(lambda text: undo.setText(f"Undo {text}".strip()))
    stack.redoTextChanged.connect(lambda text: redo.setText(f"Redo {text}".strip()))
    help = "Give the image or the files on the clipboard to the window"
    add("edit.paste", "Paste image", paste, menu="Edit", shortcut=KEYS.Paste, help=help)


def add_run_actions(registry: Actions, runs: RunActions, copy_path: Act) -> None:
    add, verbs = registry.add, runs.verbs
    add("run.pause", "Pause or resume", runs.pause_or_resume, menu="Run", shortcut="Ctrl+P", help=CONSEQUENCES["pause"])
    add("run.stop", "Stop and keep", lambda: runs.do_to_chosen("stop"), menu="Run", shortcut="Ctrl+.", help=CONSEQUENCES["stop"])
    add("run.discard", "Discard…", lambda: verbs.press("discard"), menu="Run", help=CONSEQUENCES["discard"])
    add("run.continue", "Continue…", verbs.ask_continue, menu="Run", shortcut="Ctrl+E", help=CONSEQUENCES["continue"])
    help = "Moves a waiting run one place forward"
    add("run.earlier", "Earlier in the queue", lambda: runs.do_to_chosen("earlier"), menu="Run", help=help)
    add("run.later", "Later in the queue", lambda: runs.do_to_chosen("later"), menu="Run", help="Moves a waiting run one place back")
    help = "Train two more runs of the same settings with other seeds, to see what depends on chance"
    add("run.repeat", "Repeat ×3: two more seeds", lambda: runs.state.run and runs.repeat(runs.state.run), menu="Run", help=help)
    add("run.final", ACTION, lambda: runs.state.run and runs.read_final_figures(runs.state.run), menu="Run", help=CONSEQUENCE)
    help = "Write the chosen run into one file, to be opened on another machine"
    add("run.export", "Export run…", lambda: runs.state.run and runs.ask_export(runs.state.run, False), menu="Run", help=help)
    help = "Without the optimizer’s state: smaller, to be looked at elsewhere but not trained further"
    add(
        "run.export_small",
        "Export run without the resume state…",
        lambda: runs.state.run and runs.ask_export(runs.state.run, False, True),
        menu="Run",
        help=help,
    )
    help = "The same, with the data that it was trained on, where they are your own"
    add(
        "run.export_data",
        "Export run with its data…",
        lambda: runs.state.run and runs.ask_export(runs.state.run, True),
        menu="Run",
        help=help,
    )
    add("run.folder", "Open the run’s folder", runs.show_folder, menu="Run", help="Show the files of the chosen run")
    add("run.copy_path", "Copy the run’s path", copy_path, menu="Run", help="For the headless verbs, for example eval")
    add("run.delete", "Delete…", lambda: verbs.press("delete"), menu="Run", help=CONSEQUENCES["delete"])


def add_view_actions(
    registry: Actions, find: Act, themes: ThemeSwitch, left: SideFold, right: SideFold, centre: Centre, full_screen: Act
) -> None:
    add = registry.add
    help = "Find anything by a few letters"
    add("view.find", "Search runs, panes, actions…", find, menu="View", shortcut=["Ctrl+K", "Ctrl+Shift+P"], help=help)
    help = "Switch between light and dark"
    add("view.theme", "Light or dark", themes.toggle, menu="View", shortcut="Ctrl+Shift+T", help=help, words="theme dark light")
    for name, text, help in (
        ("dark", "Dark theme", "Light letters on a dark ground"),
        ("light", "Light theme", "Dark letters on a light ground"),
        ("system", "Theme of the system", "Follow the system’s choice of light or dark again"),
    ):
        add(f"view.theme_{name}", text, partial(themes.choose, name), menu="View", help=help, words="theme dark light system")
    help = "Show or hide the left side"
    add("view.left", "Runs and data", left.toggle, menu="View", shortcut="Ctrl+B", help=help)
    help = "Show or hide the right side"
    add("view.right", "Inspector", right.toggle, menu="View", shortcut="Ctrl+Shift+B", help=help)
    help = "Tile the pane in front to the right"
    add("view.beside", "Put this pane beside the others", centre.docks.beside, menu="View", shortcut="Ctrl+\\", help=help)
    help = "Put the pane in front into a window of its own, or back"
    add("view.tear", "Tear off this pane", centre.tear_off, menu="View", help=help)
    help = "Put the layout of the panes back as it was at first"
    add("view.together", "All panes as tabs", centre.docks.together, menu="View", help=help)
    help = "Fill the screen, or stop doing so"
    add("view.fullscreen", "Full screen", full_screen, menu="View", shortcut=KEYS.FullScreen, help=help)


def add_go_actions(registry: Actions, playback: Playback, bottom: BottomBar, state: State, centre: Centre) -> None:
    add, walk = registry.add, bottom.timeline.walk
    help = "Walk through the checkpoints, one after the other"
    add("go.play", "Play through the checkpoints", playback.toggle, menu="Go", hint="Space", help=help)
    help = "Move the time cursor back by one checkpoint"
    add("go.earlier", "Earlier checkpoint", lambda: walk(-1), menu="Go", shortcut="Alt+Left", help=help)
    help = "Move the time cursor on by one checkpoint"
    add("go.later", "Later checkpoint", lambda: walk(1), menu="Go", shortcut="Alt+Right", help=help)
    help = "Look at the newest checkpoint, and at every newer one as it comes"
    add("go.live", "Newest checkpoint", lambda: state.set_follow("newest"), menu="Go", shortcut="Alt+End", help=help)
    help = "Look at the checkpoint that did best on validation images, and at a better one as it comes"
    add("go.best", "Best checkpoint", lambda: state.set_follow("best"), menu="Go", shortcut="Alt+Home", help=help)
    add("go.next_pane", "Next pane", lambda: centre.walk(1), menu="Go", shortcut="Ctrl+Tab", help="Bring the next pane to the front")
    help = "Bring the previous pane to the front"
    add("go.previous_pane", "Previous pane", lambda: centre.walk(-1), menu="Go", shortcut="Ctrl+Shift+Tab", help=help)


def add_help_actions(registry: Actions, centre: Centre, about: Act) -> None:
    add = registry.add
    add("help.shortcuts", "Shortcuts", centre.show_shortcuts, menu="Help", shortcut=["F1", "Ctrl+?"], help="Every action with its keys")
    help = "What was said and what went wrong since the start"
    add("help.log", "Log", centre.toggle_log, menu="Help", shortcut="Ctrl+Shift+L", help=help)
    help = "Versions, device and where the runs lie"
    add("help.about", "About Priorama", about, menu="Help", help=help).setMenuRole(QAction.MenuRole.AboutRole)
