"""Every action of the shell: its words, its menu, its keys. Panes add theirs through the same registry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtGui import QAction, QKeySequence

from app.shell.job_verbs import CONSEQUENCES

if TYPE_CHECKING:
    from app.shell.main_window import Window


def add_all(window: Window) -> None:
    """Fill the window's registry."""
    add, keys = window.registry.add, QKeySequence.StandardKey
    add("run.new", "New run…", window.new_run, menu="File", shortcut=keys.New, help="Describe a new training and start it")
    add(
        "file.open_run",
        "Open run…",
        window.intake.ask_run,
        menu="File",
        shortcut=keys.Open,
        help="Look at a run folder that lies somewhere else",
    )
    add(
        "data.open",
        "Open data folder…",
        window.intake.ask_data,
        menu="File",
        shortcut="Ctrl+Shift+O",
        help="Inspect a folder of images as a data set",
    )
    add(
        "data.open_file",
        "Open data file…",
        window.intake.ask_data_file,
        menu="File",
        help="Inspect an IDX, npz, npy or text file as a data set",
    )
    add(
        "file.open_image",
        "Open image…",
        window.intake.ask_image,
        menu="File",
        shortcut="Ctrl+I",
        help="Give an image to the pane in front",
    )
    add(
        "app.quit",
        "Quit",
        window.close,
        menu="File",
        shortcut=["Ctrl+Q"],
        help="Close the window; a training is kept and can be continued",
    )

    undo = add(
        "edit.undo", "Undo", window.undo.undo, menu="Edit", shortcut=keys.Undo, help="Take back the last change of a slider or a setting"
    )
    redo = add("edit.redo", "Redo", window.undo.redo, menu="Edit", shortcut=["Ctrl+Shift+Z", "Ctrl+Y"], help="Do again what was taken back")
    for action, stack in ((undo, window.undo.canUndo), (redo, window.undo.canRedo)):
        action.setEnabled(stack())
    window.undo.canUndoChanged.connect(undo.setEnabled)
    window.undo.canRedoChanged.connect(redo.setEnabled)
    window.undo.undoTextChanged.connect(lambda text: undo.setText(f"Undo {text}".strip()))
    window.undo.redoTextChanged.connect(lambda text: redo.setText(f"Redo {text}".strip()))
    add(
        "edit.paste",
        "Paste image",
        window.intake.paste,
        menu="Edit",
        shortcut=keys.Paste,
        help="Give the image or the files on the clipboard to the window",
    )

    add("run.pause", "Pause or resume", window.pause_or_resume, menu="Run", shortcut="Ctrl+P", help=CONSEQUENCES["pause"])
    add("run.stop", "Stop and keep", lambda: window.do("stop", window.state.run), menu="Run", shortcut="Ctrl+.", help=CONSEQUENCES["stop"])
    add("run.discard", "Discard…", lambda: window.verbs.press("discard"), menu="Run", help=CONSEQUENCES["discard"])
    add("run.continue", "Continue…", window.verbs.ask_continue, menu="Run", shortcut="Ctrl+E", help=CONSEQUENCES["continue"])
    add(
        "run.earlier",
        "Earlier in the queue",
        lambda: window.do("earlier", window.state.run),
        menu="Run",
        help="Moves a waiting run one place forward",
    )
    add(
        "run.later",
        "Later in the queue",
        lambda: window.do("later", window.state.run),
        menu="Run",
        help="Moves a waiting run one place back",
    )
    add("run.folder", "Open the run’s folder", window.open_run_folder, menu="Run", help="Show the files of the chosen run")
    add(
        "run.copy_path",
        "Copy the run’s path",
        lambda: window.state.run and window.copy_text(window.state.run),
        menu="Run",
        help="For the headless verbs, for example eval",
    )
    add("run.delete", "Delete…", lambda: window.verbs.press("delete"), menu="Run", help=CONSEQUENCES["delete"])

    add(
        "view.find",
        "Search runs, panes, actions…",
        window.find,
        menu="View",
        shortcut=["Ctrl+K", "Ctrl+Shift+P"],
        help="Find anything by a few letters",
    )
    add("view.theme", "Light or dark", window.toggle_theme, menu="View", shortcut="Ctrl+Shift+T", help="Switch between light and dark")
    add(
        "view.theme_system",
        "Theme of the system",
        lambda: window.set_theme("system"),
        menu="View",
        help="Follow the system’s choice of light or dark again",
    )
    add(
        "view.left",
        "Runs and data",
        lambda: window.left.setVisible(window.left.isHidden()),
        menu="View",
        shortcut="Ctrl+B",
        help="Show or hide the left side",
    )
    add(
        "view.right",
        "Inspector",
        lambda: window.right.setVisible(window.right.isHidden()),
        menu="View",
        shortcut="Ctrl+Shift+B",
        help="Show or hide the right side",
    )
    add(
        "view.beside",
        "Put this pane beside the others",
        window.docks.beside,
        menu="View",
        shortcut="Ctrl+\\",
        help="Tile the pane in front to the right",
    )
    add("view.tear", "Tear off this pane", window.tear_off, menu="View", help="Put the pane in front into a window of its own, or back")
    add(
        "view.together",
        "All panes as tabs",
        window.docks.together,
        menu="View",
        help="Put the layout of the panes back as it was at first",
    )
    add(
        "view.fullscreen",
        "Full screen",
        window.toggle_fullscreen,
        menu="View",
        shortcut=keys.FullScreen,
        help="Fill the screen, or stop doing so",
    )

    add(
        "go.play",
        "Play through the checkpoints",
        window.toggle_play,
        menu="Go",
        hint="Space",
        help="Walk through the checkpoints, one after the other",
    )
    add(
        "go.earlier",
        "Earlier checkpoint",
        lambda: window.timeline.walk(-1),
        menu="Go",
        shortcut="Alt+Left",
        help="Move the time cursor back by one checkpoint",
    )
    add(
        "go.later",
        "Later checkpoint",
        lambda: window.timeline.walk(1),
        menu="Go",
        shortcut="Alt+Right",
        help="Move the time cursor on by one checkpoint",
    )
    add(
        "go.live",
        "Newest checkpoint",
        lambda: window.state.set_cursor(None),
        menu="Go",
        shortcut="Alt+End",
        help="Follow the training live",
    )
    add("go.next_pane", "Next pane", lambda: window.walk(1), menu="Go", shortcut="Ctrl+Tab", help="Bring the next pane to the front")
    add(
        "go.previous_pane",
        "Previous pane",
        lambda: window.walk(-1),
        menu="Go",
        shortcut="Ctrl+Shift+Tab",
        help="Bring the previous pane to the front",
    )

    add("help.shortcuts", "Shortcuts", window.show_shortcuts, menu="Help", shortcut=["F1", "Ctrl+?"], help="Every action with its keys")
    add(
        "help.log",
        "Log",
        window.toggle_log,
        menu="Help",
        shortcut="Ctrl+Shift+L",
        help="What was said and what went wrong since the start",
    )
    add("help.about", "About Priorama", window.about, menu="Help", help="Versions, device and where the runs lie")
    for name, role in (("app.quit", QAction.MenuRole.QuitRole), ("help.about", QAction.MenuRole.AboutRole)):
        window.registry[name].setMenuRole(role)
